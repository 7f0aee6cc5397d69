"""What people type in: new scans, and the filter over the history."""

from datetime import datetime, time, timedelta
from typing import Any

from django import forms
from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.db.models import Q
from django.utils.timezone import make_aware

from diagnosis import intake
from diagnosis.models import Label, ScanQuerySet
from diagnosis.states import State

# Browsers that don't know a type by its name know the ending.
ACCEPT = "image/jpeg,image/png,image/webp,image/tiff,image/bmp,.jpg,.jpeg,.png,.webp,.tif,.tiff,.bmp"


class SeveralFilesInput(forms.FileInput):
    """A file input that takes several files."""

    allow_multiple_selected = True


class SeveralFilesField(forms.FileField):
    """Gives a list of uploaded files, at least one and at most `max_files`.

    Empty files pass: intake refuses each file by itself, so that one bad file never costs the others.
    """

    widget = SeveralFilesInput

    def __init__(self, *, max_files: int, **kwargs: Any) -> None:
        super().__init__(allow_empty_file=True, **kwargs)
        self.max_files = max_files

    def clean(self, data: list[UploadedFile], initial: Any = None) -> list[UploadedFile]:
        given: list[UploadedFile | None] = [*data] or [None]
        files = [super(SeveralFilesField, self).clean(file, initial) for file in given]
        if len(files) > self.max_files:
            raise forms.ValidationError(
                f"These are {len(files)} files; at most {self.max_files} can be uploaded at once. Nothing was stored.",
                code="too_many_files",
            )
        return files


class NewScansForm(forms.Form):
    """Chest X-rays of one person, one file each, and the person's own words for them."""

    image = SeveralFilesField(max_files=0, label="Chest X-rays")
    reference = forms.CharField(
        label="Your reference",
        required=False,
        max_length=100,
        help_text="Your own words to find it again; applied to every file. Don't enter a patient's name.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        limits = intake.Limits.from_settings()
        image = self.fields["image"]
        image.max_files = settings.UPLOAD_MAX_FILES  # type: ignore[attr-defined]
        image.error_messages["required"] = "Choose at least one file."
        image.widget.attrs |= {
            "accept": ACCEPT,
            "data-max-files": settings.UPLOAD_MAX_FILES,
            "data-max-bytes": limits.max_bytes,
        }
        image.help_text = (
            f"{intake.ACCEPTED}, 8 or 16 bit. Up to {settings.UPLOAD_MAX_FILES} files at once, each at most "
            f"{limits.max_bytes / 2**20:.3g} MB and {limits.max_pixels / 1e6:g} million pixels, "
            f"each side at least {limits.min_side} pixels."
        )


class NewTokenForm(forms.Form):
    """How long a new token for the API lasts."""

    lifetime = forms.TypedChoiceField(
        label="A new token lasts for",
        choices=[("30", "30 days"), ("90", "90 days"), ("365", "one year"), ("", "as long as it is not revoked")],
        initial="90",
        required=False,
        coerce=lambda days: timedelta(days=int(days)),
        empty_value=None,
    )


class HistoryFilter(forms.Form):
    """Which scans of the history to show; every field may be empty."""

    q = forms.CharField(
        label="Search",
        required=False,
        max_length=100,
        widget=forms.SearchInput(attrs={"placeholder": "Name or reference"}),
    )
    label = forms.ChoiceField(label="Answer", required=False, choices=[("", "Any answer"), *Label.choices])
    state = forms.ChoiceField(label="State", required=False, choices=[("", "Any state"), *State.choices])
    since = forms.DateField(label="From", required=False, widget=forms.DateInput({"type": "date"}, format="%Y-%m-%d"))
    until = forms.DateField(label="To", required=False, widget=forms.DateInput({"type": "date"}, format="%Y-%m-%d"))

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if given.get("since") and given.get("until") and given["since"] > given["until"]:
            self.add_error("until", "This day is before the first one.")
        return given

    def narrow(self, scans: ScanQuerySet) -> ScanQuerySet:
        """Keep of `scans` what was asked for; a field with an error narrows nothing."""
        self.is_valid()
        given = self.cleaned_data
        if q := given.get("q"):
            scans = scans.filter(Q(original_name__icontains=q) | Q(reference__icontains=q))
        if label := given.get("label"):
            scans = scans.filter(latest_prediction__label=label)
        if state := given.get("state"):
            scans = scans.filter(latest_prediction__state=state)
        if since := given.get("since"):
            scans = scans.filter(created_at__gte=make_aware(datetime.combine(since, time.min)))
        if until := given.get("until"):
            scans = scans.filter(created_at__lte=make_aware(datetime.combine(until, time.max)))
        return scans
