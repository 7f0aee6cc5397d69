"""What the site remembers of several files that a person gave at once."""

import uuid
from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from diagnosis.sentences import file_name, in_words
from diagnosis.states import TERMINAL_STATES
from diagnosis.validators import check_refused


class UploadQuerySet(models.QuerySet):
    """Questions about uploads."""

    def with_progress(self) -> Self:
        """Count along `kept`, the scans that are there, and `answered`, those of them whose latest answer is final."""
        final = Q(scans__latest_prediction__state__in=TERMINAL_STATES)
        return self.annotate(kept=models.Count("scans"), answered=models.Count("scans", filter=final))


class Upload(models.Model):
    """Several files that a person gave at once: the scans they are, and why the others are none."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="uploads")
    scans: models.ManyToManyField = models.ManyToManyField(
        "Scan", related_name="uploads", help_text=_("also those that were there before")
    )
    given = models.PositiveIntegerField(help_text=_("files, those in archives included"))
    known = models.PositiveIntegerField(default=0, help_text=_("files that were there before"))
    refused = models.JSONField(
        default=list,
        blank=True,
        validators=[check_refused],
        help_text=_("file, code and sentence of each"),
    )
    created_at = models.DateTimeField(default=timezone.now)

    objects = UploadQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at", "-id")

    def __str__(self) -> str:
        return ngettext("%(given)s file", "%(given)s files", self.given) % {"given": self.given}

    def get_absolute_url(self) -> str:
        """Give the page that shows how far the answers are."""
        return reverse("diagnosis:upload_detail", args=[self.pk])

    @property
    def refused_files(self) -> list[dict[str, str]]:
        """Give file, code and sentence of each refused file, in the language of the page."""
        return [
            {
                "file": file_name(file["file"]),
                "code": file["code"],
                "sentence": in_words(file["sentence"], file.get("values")),
            }
            for file in self.refused
        ]
