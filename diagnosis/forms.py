"""What people type in: new scans, and the filter over the history."""

from datetime import datetime, time, timedelta
from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth.models import User
from django.core.files.uploadedfile import UploadedFile
from django.core.validators import MaxValueValidator
from django.utils.timezone import make_aware
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from diagnosis import intake
from diagnosis.expressions import holds
from diagnosis.models import Label, ScanQuerySet
from diagnosis.numbers import written
from diagnosis.preferences import Preferences
from diagnosis.refusals import TooManyFiles
from diagnosis.sentences import explained
from diagnosis.states import State
from diagnosis.time_zones import names_by_region


class SeveralFilesInput(forms.FileInput):
    """A file input that takes several files."""

    allow_multiple_selected = True


class SeveralFilesField(forms.FileField):
    """Gives a list of uploaded files; an empty one where none was chosen and it is not required.

    Empty files pass: intake refuses each file by itself, so that one bad file never costs the others.
    """

    widget = SeveralFilesInput

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_empty_file=True, **kwargs)

    def clean(self, data: list[UploadedFile], initial: Any = None) -> list[UploadedFile]:
        if not data:
            return []
        return [super(SeveralFilesField, self).clean(file, initial) for file in data]


class NewScansForm(forms.Form):
    """Chest X-rays of one person, one by one, in archives or in a folder, and the person's own words for them."""

    image = SeveralFilesField(label=_("Chest X-rays"), required=False)
    folder = SeveralFilesField(label=_("Or a whole folder"), required=False)
    reference = forms.CharField(
        label=_("Your reference"),
        required=False,
        max_length=100,
        help_text=_("Your own words to find it again; applied to every file. Don't enter a patient's name."),
    )

    def __init__(self, *args: Any, is_too_large: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.is_too_large = is_too_large
        self.retention_days = settings.RETENTION_DAYS
        limits = intake.Limits.from_settings()
        most_in_all = written(settings.UPLOAD_MAX_BYTES / 2**20, ".3g")
        # No "accept": files of DICOM often have no ending, and a browser would hide them.
        self.fields["image"].widget.attrs |= {
            "data-max-files": settings.UPLOAD_MAX_FILES,
            "data-max-bytes": limits.max_bytes,
            "data-max-total": settings.UPLOAD_MAX_BYTES,
            # What the page's script says before the server does.
            "data-larger-than": gettext("larger than {size}"),
            "data-too-many": gettext("At most %(most)s files can be uploaded at once.")
            % {"most": settings.UPLOAD_MAX_FILES},
            "data-too-large": gettext("These files have {size} together; at most %(most)s MB can be uploaded at once.")
            % {"most": most_in_all},
        }
        self.fields["folder"].widget.attrs |= {"webkitdirectory": True}
        self.fields["image"].help_text = gettext(
            "DICOM, JPEG, PNG, WebP, TIFF or BMP, 8 to 16 bit, or ZIP archives of them. Up to %(files)s files at "
            "once, each at most %(bytes)s MB and %(pixels)s million pixels, each side at least %(side)s pixels. "
            "All together at most %(total)s MB."
        ) % {
            "files": settings.UPLOAD_MAX_FILES,
            "bytes": written(limits.max_bytes / 2**20, ".3g"),
            "pixels": written(limits.max_pixels / 1e6, "g"),
            "side": limits.min_side,
            "total": most_in_all,
        }

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if self.is_too_large:
            raise forms.ValidationError(
                gettext("These files have more than %(most)s MB together; upload them in parts. Nothing was stored."),
                code="too_large",
                params={"most": written(settings.UPLOAD_MAX_BYTES / 2**20, ".3g")},
            )
        files = [*given.get("image", ()), *given.get("folder", ())]
        if not files and "image" not in self.errors:
            self.add_error("image", gettext("Choose at least one file."))
        if len(files) > settings.UPLOAD_MAX_FILES:
            self.add_error("image", explained(TooManyFiles(len(files), most=settings.UPLOAD_MAX_FILES)))
        return given | {"files": files}


class NewTokenForm(forms.Form):
    """How long a new token for the API lasts."""

    lifetime = forms.TypedChoiceField(
        label=_("A new token lasts for"),
        choices=[
            ("30", _("30 days")),
            ("90", _("90 days")),
            ("365", _("one year")),
            ("", _("as long as it is not revoked")),
        ],
        initial="90",
        required=False,
        coerce=lambda days: timedelta(days=int(days)),
        empty_value=None,
    )


class WindowForm(forms.Form):
    """Through which window to show a picture whose levels go from 0 to `white`; see diagnosis.levels."""

    center = forms.FloatField(min_value=0)
    width = forms.FloatField(min_value=1)

    def __init__(self, *args: Any, white: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.white = white
        for field in self.fields.values():
            field.validators.append(MaxValueValidator(white))

    def window(self) -> dict[str, float]:
        """Give center and width; raises ValidationError with one sentence for both."""
        if not self.is_valid():
            raise forms.ValidationError(
                gettext("center has to be a number from 0 to %(white)d, and width one from 1 to %(white)d.")
                % {"white": self.white}
            )
        return self.cleaned_data


class PreferencesForm(forms.ModelForm):
    """In which language and time zone the pages are; the first choice of both follows the browser."""

    language = forms.ChoiceField(
        label=_("Language"), required=False, choices=lambda: [("", _("As in the browser")), *settings.LANGUAGES]
    )
    time_zone = forms.ChoiceField(
        label=_("Time zone of dates"),
        required=False,
        choices=lambda: [("", _("As in the browser")), ("UTC", "UTC"), *names_by_region()],
    )

    class Meta:
        model = Preferences
        fields = ("language", "time_zone")


class HistoryFilter(forms.Form):
    """Which scans of the history to show; every field may be empty."""

    q = forms.CharField(
        label=_("Search"),
        required=False,
        max_length=100,
        widget=forms.SearchInput(attrs={"placeholder": _("Name or reference")}),
    )
    label = forms.ChoiceField(label=_("Answer"), required=False, choices=[("", _("Any answer")), *Label.choices])
    state = forms.ChoiceField(label=_("State"), required=False, choices=[("", _("Any state")), *State.choices])
    since = forms.DateField(
        label=_("From"), required=False, widget=forms.DateInput({"type": "date"}, format="%Y-%m-%d")
    )
    until = forms.DateField(label=_("To"), required=False, widget=forms.DateInput({"type": "date"}, format="%Y-%m-%d"))

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if given.get("since") and given.get("until") and given["since"] > given["until"]:
            self.add_error("until", gettext("This day is before the first one."))
        return given

    def narrow(self, scans: ScanQuerySet, *, owner: User) -> ScanQuerySet:
        """Keep of `scans`, all those of `owner`, what was asked for, to be sorted by `placed_at`.

        A field with an error narrows nothing.
        """
        self.is_valid()
        given = self.cleaned_data
        scans = scans.by_answer(owner=owner, label=given.get("label", ""), state=given.get("state", ""))
        if q := given.get("q"):
            scans = scans.filter(holds(q))
        if since := given.get("since"):
            scans = scans.filter(placed_at__gte=make_aware(datetime.combine(since, time.min)))
        if until := given.get("until"):
            scans = scans.filter(placed_at__lte=make_aware(datetime.combine(until, time.max)))
        return scans
