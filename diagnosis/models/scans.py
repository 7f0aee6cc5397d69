"""Scans: the X-rays that were given, and who may see them."""

import uuid
from datetime import datetime, timedelta
from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from diagnosis import quality
from diagnosis.dicom_facts import DICOM_CONSTRAINTS, DicomFacts
from diagnosis.files import model_input_path, picture_path, thumbnail_path
from diagnosis.models.model_versions import ModelVersion
from diagnosis.sentences import file_name
from diagnosis.states import State
from diagnosis.validators import check_quality_issues


def may_view_all_scans(user) -> bool:
    """Tell whether `user` may open the scans of others."""
    return user.is_staff and user.has_perm("diagnosis.view_scan")


class ScanQuerySet(models.QuerySet):
    """Questions about scans."""

    def visible_to(self, user) -> Self:
        """Keep what `user` may open: their own; staff with the permission to view scans may open all."""
        return self if may_view_all_scans(user) else self.filter(owner=user)

    def with_latest(self) -> Self:
        """Fetch the latest prediction and its model version along, in the same query.

        Without the version's metadata: with all its curves it is larger than a page.
        """
        return self.select_related("latest_prediction__model_version").defer(
            "latest_prediction__model_version__metadata"
        )

    def by_answer(self, *, owner=None, label: str = "", state: str = "") -> Self:
        """Keep those whose latest prediction has this label and this state, and name `placed_at`: sort by that.

        It is created_at, from the table in which an index has it in order. `owner` is whose scans they are, where they
        are one person's; another condition says so.
        """
        if not (label or state):
            return self.annotate(placed_at=F("created_at"))
        answer = {"is_latest": True, "owner": owner, "label": label, "state": state}
        chosen = self.filter(**{f"latest_prediction__{name}": value for name, value in answer.items() if value})
        chosen = chosen.annotate(placed_at=F("latest_prediction__scan_created_at"))
        # The rules know no such row, but the database would look for one through all that have the label.
        return chosen.none() if label and state and state != State.SUCCEEDED else chosen

    def unanswered_by(self, model_version: ModelVersion) -> Self:
        """Keep the scans on which `model_version` has neither settled nor is about to."""
        from diagnosis.models.predictions import Prediction  # which needs Scan

        asked = Prediction.objects.filter(scan=models.OuterRef("pk"), model_version=model_version)
        return self.exclude(models.Exists(asked.settled())).exclude(models.Exists(asked.open()))


class Scan(DicomFacts):
    """One chest X-ray of one owner."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # Indexed with created_at.
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("owner"),
        on_delete=models.CASCADE,
        related_name="scans",
        db_index=False,
    )
    picture = models.FileField(upload_to=picture_path, max_length=200)
    thumbnail = models.FileField(upload_to=thumbnail_path, max_length=200)
    # A few KB instead of the whole picture, each time a model reads it; empty until a worker makes it for an old scan.
    model_input = models.FileField(upload_to=model_input_path, max_length=200, blank=True, editable=False)
    sha256 = models.CharField(
        _("sha256"), max_length=64, help_text=_("of the bytes that were given, before anything was changed")
    )
    original_name = models.CharField(_("original name"), max_length=255)
    reference = models.CharField(
        _("reference"), max_length=100, blank=True, help_text=_("the owner's own words for it")
    )
    width = models.PositiveIntegerField(help_text=_("pixels"))
    height = models.PositiveIntegerField(help_text=_("pixels"))
    # What only the given file tells; the stored picture is grey, and may be scaled.
    is_colour = models.BooleanField(
        _("in colour"), default=False, help_text=_("the given picture had colours, as no X-ray has")
    )
    quality_issues = models.JSONField(
        default=list, blank=True, validators=[check_quality_issues], help_text=_("codes of what is poor in the picture")
    )
    created_at = models.DateTimeField(_("created at"), default=timezone.now)
    # The newest one asked for. Kept here so that the history page filters and sorts without a subquery per row.
    latest_prediction = models.ForeignKey(
        "Prediction", on_delete=models.SET_NULL, null=True, blank=True, editable=False, related_name="+"
    )

    objects = ScanQuerySet.as_manager()

    class Meta:
        verbose_name = _("scan")
        verbose_name_plural = _("scans")
        ordering = ("-created_at", "-id")
        constraints = (
            models.UniqueConstraint(fields=("owner", "sha256"), name="an_owner_has_each_file_once"),
            *DICOM_CONSTRAINTS,
        )
        indexes = (
            models.Index(fields=("owner", "-created_at", "-id"), name="scans_of_an_owner_newest"),
            # The staff's list.
            models.Index(fields=("-created_at", "-id"), name="scans_newest"),
            # What programs look up.
            models.Index(
                fields=("reference", "-created_at", "-id"), condition=~Q(reference=""), name="scans_by_reference"
            ),
        )

    def __str__(self) -> str:
        return self.reference or self.file_name

    def get_absolute_url(self) -> str:
        """Give the page with the answer."""
        return reverse("diagnosis:scan_detail", args=[self.pk])

    @property
    def kept_until(self) -> datetime | None:
        """Tell when it expires and is erased within a day; None: not before somebody deletes it."""
        if settings.RETENTION_DAYS is None:
            return None
        return self.created_at + timedelta(days=settings.RETENTION_DAYS)

    @property
    def has_model_input(self) -> bool:
        """Tell whether the stored model input was made by the steps that the models now need."""
        return self.model_input.name == model_input_path(self, "")

    @property
    def quality_sentences(self) -> list[str]:
        """Say what is poor in the picture, one sentence for each code; codes of another version are passed over."""
        return list(quality.sentences(self.quality_issues).values())

    @property
    def file_name(self) -> str:
        """Give the original name, in the language of the page where it is none of the file's own."""
        return file_name(self.original_name)
