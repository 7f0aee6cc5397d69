"""Scans in the admin: found, looked at, read again, erased; never edited."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import F, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from diagnosis import audit, services
from diagnosis.admin.filters import LatestBooleanFilter, LatestChoicesFilter
from diagnosis.admin.lists import SEARCHED
from diagnosis.admin.nameless import NamelessAdmin
from diagnosis.admin.records import percent, picture, quality, thumbnail
from diagnosis.admin.reprocessing import ReprocessAdmin
from diagnosis.audit import Action
from diagnosis.models import Prediction, Scan


class PredictionInline(admin.TabularInline):
    """All that was asked of a scan, newest first."""

    model = Prediction
    fields = readonly_fields = ("state", "label", "is_uncertain", "chance", "read_by", "trigger", "requested_at")
    ordering = ("-requested_at", "-id")
    can_delete = False
    show_change_link = True
    extra = 0

    def get_queryset(self, request: HttpRequest) -> QuerySet[Prediction]:
        """Fetch the names of the model versions along."""
        return super().get_queryset(request).select_related("model_version").defer("model_version__metadata")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse: new ones come from the action."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse: answers stay as they are."""
        return False

    @admin.display(description=_("probability of pneumonia"))
    def chance(self, prediction: Prediction) -> str:
        """Show it as people read it."""
        return percent(prediction.probability)

    @admin.display(description=_("model version"))
    def read_by(self, prediction: Prediction) -> str:
        """Name the version, without a link that not everyone may follow."""
        return str(prediction.model_version)


@admin.register(Scan)
class ScanAdmin(NamelessAdmin, ReprocessAdmin):
    """One row for each X-ray, with what the newest prediction says of it."""

    list_display = ("small_picture", "name", "reference", "owner", "state", "label", "created_at")
    list_display_links = ("small_picture", "name")
    list_filter = (
        ("latest_prediction__state", LatestChoicesFilter),
        ("latest_prediction__label", LatestChoicesFilter),
        ("latest_prediction__is_uncertain", LatestBooleanFilter),
        ("created_at", admin.DateFieldListFilter),
    )
    search_fields = ("owner__username", "reference", "original_name")
    search_help_text = SEARCHED
    id_fields = ("id", "predictions__id")
    newest_by = "created_at"
    sorted_from_an_index = {"created_at": datetime}

    fields = readonly_fields = (
        "large_picture",
        "owner_name",
        "reference",
        "original_name",
        "size",
        "quality",
        "is_colour",
        "created_at",
        "id",
        "sha256",
    )
    inlines = (PredictionInline,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Scan]:
        """Fetch owner and newest prediction along."""
        return super().get_queryset(request).select_related("owner", "latest_prediction")

    def sort_key(self, column: str, params: Mapping[str, str]) -> Any:
        """Sort by the copy of the moment that the latest prediction has, where the list is narrowed by that."""
        is_by_answer = any(name.startswith("latest_prediction__") for name in params)
        return F("latest_prediction__scan_created_at") if is_by_answer else super().sort_key(column, params)

    def scans_of(self, chosen: QuerySet) -> QuerySet[Scan]:
        """They stand for themselves."""
        return chosen

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Any = None,
    ) -> HttpResponse:
        """Note who looks at the scan."""
        audit.record(action=Action.VIEWED, actor=cast(User, request.user), scan=obj)
        return super().render_change_form(request, context, add, change, form_url, obj)

    # Erasing -----------------------------------------------------------------------------------------------------

    def delete_model(self, request: HttpRequest, obj: Scan) -> None:
        """Erase the scan, its predictions and its files."""
        services.erase_scan(scan=obj, erased_by=request.user)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Scan]) -> None:
        """Erase one after the other, files included."""
        for scan in queryset:
            services.erase_scan(scan=scan, erased_by=request.user)

    # What the pages show -----------------------------------------------------------------------------------------

    def view_on_site(self, scan: Scan) -> str:
        """Lead to the page that the owner sees."""
        return scan.get_absolute_url()

    @admin.display(description=_("picture"))
    def small_picture(self, scan: Scan) -> SafeString:
        """Show the small picture."""
        return thumbnail(scan)

    @admin.display(description=_("picture"))
    def large_picture(self, scan: Scan) -> SafeString:
        """Show the stored picture."""
        return picture(scan)

    @admin.display(description=_("name"))
    def name(self, scan: Scan) -> str:
        """Show the name of the file that was given."""
        return scan.file_name

    @admin.display(description=_("owner"))
    def owner_name(self, scan: Scan) -> str:
        """Name the owner, without a link that not everyone may follow."""
        return scan.owner.get_username()

    @admin.display(description=_("latest state"))
    def state(self, scan: Scan) -> str:
        """Show where the newest prediction stands."""
        return scan.latest_prediction.get_state_display() if scan.latest_prediction else gettext("Not asked for")

    @admin.display(description=_("latest label"), empty_value="-")
    def label(self, scan: Scan) -> str:
        """Show what the newest prediction says; nothing while it says nothing."""
        latest = scan.latest_prediction
        if latest is None:
            return ""
        label = latest.get_label_display()
        return gettext("%(label)s, uncertain") % {"label": label} if latest.is_uncertain else label

    @admin.display(description=_("picture quality"))
    def quality(self, scan: Scan) -> str:
        """Say what is poor in the picture."""
        return quality(scan)

    @admin.display(description=_("size"))
    def size(self, scan: Scan) -> str:
        """Show the stored picture's sides."""
        return gettext("%(width)s × %(height)s pixels") % {"width": scan.width, "height": scan.height}
