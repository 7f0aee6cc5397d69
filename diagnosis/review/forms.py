"""What readers choose and say: a list, a verdict."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from diagnosis.models import ModelVersion, Prediction, Review
from diagnosis.review.worklist import ANY_VERSION, Show, Worklist


class WorklistForm(forms.Form):
    """Which list to show; what is missing or unknown means the waiting ones of the active model version."""

    show = forms.ChoiceField(label=_("Show"), choices=Show, required=False)
    version = forms.ChoiceField(label=_("Model version"), required=False)

    def __init__(self, given: Any) -> None:
        self.versions = {
            str(version.pk): version
            for version in ModelVersion.objects.only("name", "sha256", "is_active").order_by("-is_active", "-pk")
        }
        active = next((name for name, version in self.versions.items() if version.is_active), ANY_VERSION)
        chosen = {"show": given.get("show", Show.WAITING), "version": given.get("version", active)}
        if chosen["show"] not in Show.values:
            chosen["show"] = Show.WAITING
        if chosen["version"] not in self.versions:
            chosen["version"] = ANY_VERSION
        super().__init__(chosen)
        names = [(name, str(version)) for name, version in self.versions.items()]
        self.fields["version"].choices = [*names, (ANY_VERSION, _("All versions"))]  # type: ignore[attr-defined]
        self.chosen = chosen

    @property
    def chosen_version(self) -> ModelVersion | None:
        """Give the chosen version, None for all."""
        return self.versions.get(self.chosen["version"])

    def worklist_of(self, reader: Any) -> Worklist:
        """Give the chosen list."""
        return Worklist(reader, Show(self.chosen["show"]), self.chosen_version)


class VerdictForm(forms.ModelForm):
    """A verdict with a note, and whether somebody else should look too."""

    second_reader = forms.BooleanField(label=_("Ask for a second reader"), required=False)
    # The reader's own review that the page showed, if there was one.
    seen = forms.CharField(required=False, widget=forms.HiddenInput)

    class Meta:
        model = Review
        fields = ("label", "note")
        labels = {"note": _("Note (optional)")}
        help_texts = {"note": _("For other readers and staff. Don't write who the patient is.")}
        widgets = {"note": forms.Textarea(attrs={"rows": 2})}
        error_messages = {"label": {"required": _("Choose a verdict."), "invalid_choice": _("Choose a verdict.")}}

    def __init__(self, given: Any, *, prediction: Prediction, before: Review | None) -> None:
        said = {"note": before.note, "seen": before.pk} if before else {}
        super().__init__(given, initial={**said, "second_reader": prediction.readings_wanted > 1})
        self.before = before

    def clean(self) -> dict[str, Any]:
        """Refuse to replace a verdict that the reader gave meanwhile in another window."""
        given = super().clean() or {}
        if given.get("seen", "") != (str(self.before.pk) if self.before else ""):
            raise forms.ValidationError(
                _("You gave a verdict on this answer meanwhile, in another window. Say it again if it should change."),
                code="outdated",
            )
        return given
