"""The action that asks the active model to read chosen scans again."""

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from diagnosis import services
from diagnosis.admin.lists import LongListAdmin
from diagnosis.models import Scan
from diagnosis.states import Trigger

# A page should come back within seconds; the command takes any number and shows how far it is.
MOST_AT_ONCE = 500


class ReprocessAdmin(LongListAdmin):
    """Rows that stand for scans: those with the permission have them read again."""

    actions = ("reprocess_with_the_active_model",)

    def scans_of(self, chosen: QuerySet) -> QuerySet[Scan]:
        """Give the scans that the chosen rows stand for, each once."""
        raise NotImplementedError

    def has_reprocess_permission(self, request: HttpRequest) -> bool:
        """Tell whether this person may ask for new predictions."""
        return request.user.has_perm("diagnosis.reprocess_scan")

    @admin.action(permissions=["reprocess"], description="Reprocess with the active model")
    def reprocess_with_the_active_model(self, request: HttpRequest, queryset: QuerySet) -> None:
        """Ask for a new prediction of each chosen scan; where one is under way already nothing is added."""
        active = services.active_model_version()
        if active is None:
            messages.error(request, str(services.NoActiveModel()))
            return
        scans = list(self.scans_of(queryset)[: MOST_AT_ONCE + 1])
        if len(scans) > MOST_AT_ONCE:
            text = f"At most {MOST_AT_ONCE} scans at once: choose fewer, or run manage.py reprocess_scans."
            messages.error(request, text)
            return
        began = timezone.now()
        asked = services.reprocess(scans=scans, model_version=active, trigger=Trigger.ADMIN, requested_by=request.user)
        new = sum(prediction.requested_at >= began for some in asked for prediction in some)
        text = f"Asked {active} to read {_scans(new)} again."
        if new < len(scans):
            text += f" {_scans(len(scans) - new)} still waited for an answer asked for earlier."
        messages.success(request, f"{text} Earlier answers stay as they are.")


def _scans(count: int) -> str:
    return f"{count} scan{'' if count == 1 else 's'}"
