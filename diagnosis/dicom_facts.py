"""What a scan remembers of its DICOM file beside the pixels, with the rules that hold de-identification."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from diagnosis.dicom.kept import MILLIMETRES, MODALITIES, OLDEST, PHOTOMETRIC, VIEWS
from diagnosis.numbers import written


class DicomFacts(models.Model):
    """The fields of dicom.kept.Facts; a scan of another file has none of them."""

    modality = models.CharField(max_length=2, blank=True, choices=[(name, name) for name in MODALITIES])
    view_position = models.CharField(max_length=2, blank=True, choices=[(name, name) for name in VIEWS])
    photometric_interpretation = models.CharField(
        max_length=16,
        blank=True,
        choices=[(name, name) for name in PHOTOMETRIC],
        help_text=_("of the DICOM file as given"),
    )
    row_spacing = models.FloatField(null=True, blank=True, help_text=_("millimetres from row to row"))
    column_spacing = models.FloatField(null=True, blank=True, help_text=_("millimetres from column to column"))
    patient_age = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text=f"whole years; {OLDEST} means that or more"
    )

    class Meta:
        abstract = True

    @property
    def is_dicom(self) -> bool:
        """Tell whether it was given as a DICOM file."""
        return bool(self.photometric_interpretation)

    @property
    def spacing_in_words(self) -> str:
        """Give the distance from row to row × from column to column, "" where it is not known."""
        if not self.row_spacing or not self.column_spacing:
            return ""
        return f"{written(self.row_spacing, '.4g')} × {written(self.column_spacing, '.4g')} mm"

    @property
    def age_in_words(self) -> str:
        """Give the patient's age as people read it, "" where it is not known."""
        if self.patient_age is None:
            return ""
        if self.patient_age == OLDEST:
            return gettext("%(years)s years or more") % {"years": OLDEST}
        if self.patient_age == 0:
            return gettext("under 1 year")
        return ngettext("%(years)s year", "%(years)s years", self.patient_age) % {"years": self.patient_age}


DICOM_CONSTRAINTS = (
    models.CheckConstraint(
        name="only_a_dicom_file_tells_more_than_pixels",
        condition=Q(photometric_interpretation__in=PHOTOMETRIC)
        | Q(
            photometric_interpretation="",
            modality="",
            view_position="",
            row_spacing__isnull=True,
            column_spacing__isnull=True,
            patient_age__isnull=True,
        ),
    ),
    models.CheckConstraint(
        name="dicom_words_are_of_the_short_lists",
        condition=Q(modality__in=("", *MODALITIES), view_position__in=("", *VIEWS)),
    ),
    models.CheckConstraint(
        name="rows_and_columns_are_both_spaced_or_neither",
        condition=Q(row_spacing__isnull=True, column_spacing__isnull=True)
        # A comparison with NULL is neither true nor false, and a check passes unless it is false.
        | Q(
            row_spacing__isnull=False,
            column_spacing__isnull=False,
            row_spacing__range=MILLIMETRES,
            column_spacing__range=MILLIMETRES,
        ),
    ),
    models.CheckConstraint(
        name="no_age_is_old_enough_to_tell_a_person",
        condition=Q(patient_age__isnull=True) | Q(patient_age__range=(0, OLDEST)),
    ),
)
