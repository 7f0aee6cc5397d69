"""Model versions in the admin: how good each was measured to be, and the one switch."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods

from diagnosis import services
from diagnosis.admin.records import RecordAdmin, percent
from diagnosis.figures import details, metric_columns, metric_rows
from diagnosis.models import ModelVersion
from diagnosis.pages import CappedCount


@admin.register(ModelVersion)
class ModelVersionAdmin(RecordAdmin):
    """One row for each registered checkpoint. They come by `manage.py register_model` and stay."""

    list_display = ("name", "short_sha256", "is_active", "operating_point", "registered_at", "activated_at")
    fields = readonly_fields = (
        "name",
        "is_active",
        "operating_point",
        "uncertain_band",
        "model_card",
        "number_of_predictions",
        "registered_at",
        "activated_at",
        "folder",
        "sha256",
    )

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse: every answer keeps the version that gave it."""
        return False

    # The switch --------------------------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        """Add the address of the switch."""
        view = self.admin_site.admin_view(self.activate_view)
        return [path("<path:object_id>/activate/", view, name="diagnosis_modelversion_activate"), *super().get_urls()]

    def may_switch(self, request: HttpRequest) -> bool:
        """Tell whether this person may say which version answers."""
        return request.user.has_perm("diagnosis.change_modelversion")

    @method_decorator(require_http_methods(["GET", "HEAD", "POST"]))
    def activate_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask whether this version shall answer from now on; make it so when the answer is sent."""
        if not self.may_switch(request):
            raise PermissionDenied
        version = self.get_object(request, unquote(object_id))
        if version is None:
            raise Http404
        if request.method == "POST":
            services.activate_model(model_version=version, activated_by=request.user)
            self.log_change(request, version, [{"changed": {"fields": ["active"]}}])
            text = gettext(
                "New scans are read by %(version)s from now on. Old answers stay as they are; to read old scans again, "
                "choose “Reprocess with the active model” in the list of scans, or run manage.py reprocess_scans."
            )
            messages.success(request, text % {"version": version})
            return HttpResponseRedirect(reverse("admin:diagnosis_modelversion_change", args=[version.pk]))
        context = self.admin_site.each_context(request) | {
            "title": gettext("Make active"),
            "subtitle": str(version),
            "opts": self.opts,
            "version": version,
            "active": services.active_model_version(),
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, "admin/diagnosis/modelversion/activate.html", context)

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Any = None,
    ) -> HttpResponse:
        """Add the tables of metrics and training to the page, and the switch for those who may use it."""
        metadata = obj.metadata if isinstance(obj.metadata, dict) else {}
        metrics = metadata.get("metrics")
        context |= {
            "may_activate": self.may_switch(request) and not obj.is_active,
            "metric_columns": metric_columns(metrics),
            "metric_rows": metric_rows(metrics),
            "training": list(details(metadata.get("training"))),
        }
        return super().render_change_form(request, context, add, change, form_url, obj)

    # What the pages show -----------------------------------------------------------------------------------------

    @admin.display(description=_("version"), ordering="sha256")
    def short_sha256(self, version: ModelVersion) -> str:
        """Show what a person reads out."""
        return version.short_sha256

    @admin.display(description=_("operating point"), ordering="threshold")
    def operating_point(self, version: ModelVersion) -> str:
        """Show the probability from which on the label is Pneumonia."""
        return percent(version.threshold)

    @admin.display(description=_("uncertain band"))
    def uncertain_band(self, version: ModelVersion) -> str:
        """Show the probabilities that are called uncertain; older checkpoints know no band."""
        if version.uncertain_low is None:
            return "-"
        low, high = percent(version.uncertain_low), percent(version.uncertain_high)
        return gettext("%(low)s to %(high)s") % {"low": low, "high": high}

    @admin.display(description=_("model card"))
    def model_card(self, version: ModelVersion) -> SafeString:
        """Lead to the page that everyone may read."""
        address = version.get_absolute_url()
        words = gettext("What is known of it, with its figures and curves")
        return format_html('<a href="{}">{}</a>', address, words)

    def view_on_site(self, version: ModelVersion) -> str:
        """Lead to the model card."""
        return version.get_absolute_url()

    @admin.display(description=_("predictions"))
    def number_of_predictions(self, version: ModelVersion) -> str:
        """Count what was asked of this version, as far as that is quick."""
        return str(CappedCount.of(version.predictions.all()))
