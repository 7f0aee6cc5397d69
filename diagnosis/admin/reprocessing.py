"""The action that asks the active model to read chosen scans again."""

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

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

    @admin.action(permissions=["reprocess"], description=_("Reprocess with the active model"))
    def reprocess_with_the_active_model(self, request: HttpRequest, queryset: QuerySet) -> None:
        """Ask for a new prediction of each chosen scan; where one is under way already nothing is added."""
        active = services.active_model_version()
        if active is None:
            messages.error(request, str(services.NoActiveModel()))
            return
        scans = list(self.scans_of(queryset)[: MOST_AT_ONCE + 1])
        if len(scans) > MOST_AT_ONCE:
            text = gettext("At most %(most)s scans at once: choose fewer, or run manage.py reprocess_scans.")
            messages.error(request, text % {"most": MOST_AT_ONCE})
            return
        began = timezone.now()
        asked = services.reprocess(scans=scans, model_version=active, trigger=Trigger.ADMIN, requested_by=request.user)
        new = sum(prediction.requested_at >= began for some in asked for prediction in some)
        text = ngettext(
            "Asked %(version)s to read %(new)s scan again.", "Asked %(version)s to read %(new)s scans again.", new
        )
        said = [text % {"version": active, "new": new}]
        if waiting := len(scans) - new:
            text = ngettext(
                "%(waiting)s scan still waited for an answer asked for earlier.",
                "%(waiting)s scans still waited for an answer asked for earlier.",
                waiting,
            )
            said.append(text % {"waiting": waiting})
        messages.success(request, " ".join([*said, gettext("Earlier answers stay as they are.")]))
