"""Model versions: the checkpoints that the site knows."""

from django.db import models
from django.db.models import F, Q
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from diagnosis.models.labels import Label


class ModelVersionQuerySet(models.QuerySet["ModelVersion"]):
    """Model versions in bulk."""

    def active(self) -> "ModelVersion | None":
        """Give the one that answers new scans."""
        return self.filter(is_active=True).defer("metadata").first()


class ModelVersion(models.Model):
    """A registered checkpoint. The sha256 names it; the folder says where the workers find it."""

    name = models.CharField(_("name"), max_length=100)
    sha256 = models.CharField(
        _("sha256"), max_length=64, unique=True, help_text=_("of the checkpoint's metadata and weights")
    )
    folder = models.CharField(
        max_length=500,
        help_text=_("of the checkpoint, readable by every worker; relative to the project where inside it"),
    )
    threshold = models.FloatField(help_text=_("operating point on the calibrated probability, 0..1"))
    # Empty for checkpoints of the first format: they knew no band, and none can be made up for them.
    uncertain_low = models.FloatField(null=True, blank=True, help_text=_("from here on it is uncertain, 0..1"))
    uncertain_high = models.FloatField(null=True, blank=True, help_text=_("up to here it is uncertain, 0..1"))
    metadata = models.JSONField(default=dict, help_text=_("as the checkpoint tells it: training, metrics, calibration"))
    registered_at = models.DateTimeField(_("registered at"), default=timezone.now)
    activated_at = models.DateTimeField(_("activated at"), null=True, blank=True)
    is_active = models.BooleanField(_("active"), default=False, help_text=_("answers new scans"))

    objects = ModelVersionQuerySet.as_manager()

    class Meta:
        verbose_name = _("model version")
        verbose_name_plural = _("model versions")
        ordering = ("-registered_at",)
        constraints = (
            models.UniqueConstraint(
                fields=("is_active",), condition=Q(is_active=True), name="only_one_model_version_is_active"
            ),
            models.CheckConstraint(
                condition=Q(threshold__gt=0) & Q(threshold__lt=1), name="threshold_is_between_0_and_1"
            ),
            models.CheckConstraint(
                name="the_uncertain_band_holds_the_threshold",
                condition=Q(uncertain_low__isnull=True, uncertain_high__isnull=True)
                | Q(
                    uncertain_low__isnull=False,
                    uncertain_high__isnull=False,
                    uncertain_low__gte=0,
                    uncertain_low__lte=F("threshold"),
                    uncertain_high__gte=F("threshold"),
                    uncertain_high__lte=1,
                ),
            ),
        )

    def __str__(self) -> str:
        return f"{self.name} ({self.short_sha256})"

    def get_absolute_url(self) -> str:
        """Give the model card."""
        return reverse("diagnosis:model_card", args=[self.sha256])

    @property
    def short_sha256(self) -> str:
        """Give what a person reads out: the first twelve digits."""
        return self.sha256[:12]

    def label_of(self, probability: float) -> Label:
        """Give the answer that follows from the operating point, which counts as pneumonia."""
        return Label.PNEUMONIA if probability >= self.threshold else Label.NORMAL

    def is_uncertain_about(self, probability: float) -> bool:
        """Tell whether `probability` lies in the band, both edges included; without a band nothing does."""
        if self.uncertain_low is None or self.uncertain_high is None:
            return False
        return self.uncertain_low <= probability <= self.uncertain_high
