"""What the pages of machine-made rows share: nothing is typed in, pictures come through the views, any id is found."""

import uuid
from collections.abc import Collection
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, pgettext

from diagnosis.models import Scan
from diagnosis.templatetags import probabilities


class RecordAdmin(admin.ModelAdmin):
    """Rows that the site writes itself: staff look at them, nobody adds or edits one by hand."""

    list_per_page = 50
    show_full_result_count = False
    # Counts beside every filter would each be a walk through all rows.
    show_facets = admin.ShowFacets.NEVER

    # The UUID fields that a pasted id is looked for in; empty: the search goes by words alone.
    id_fields: Collection[str] = ()

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Refuse: the site adds them."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse: whatever is sent to a change page, it stays as it is."""
        return False

    def get_search_results(self, request: HttpRequest, queryset: QuerySet, search_term: str) -> tuple[QuerySet, bool]:
        """Find an exact id by itself, anything else in the search fields."""
        if not self.is_id(search_term):
            return super().get_search_results(request, queryset, search_term)
        wanted = uuid.UUID(search_term.strip())
        return queryset.filter(Q.create([(field, wanted) for field in self.id_fields], connector=Q.OR)), False

    @staticmethod
    def is_id(search_term: str) -> bool:
        """Tell whether a whole id was pasted."""
        try:
            uuid.UUID(search_term.strip())
        except ValueError:
            return False
        return True


def picture(scan: Scan) -> SafeString:
    """Show the stored picture of `scan`, as wide as the page allows."""
    address = reverse("diagnosis:scan_picture", args=[scan.pk])
    tag = '<img class="picture" src="{}" width="{}" height="{}" alt="{}">'
    return format_html(tag, address, scan.width, scan.height, gettext("Chest X-ray"))


def thumbnail(scan: Scan) -> SafeString:
    """Show the small picture of `scan`."""
    address = reverse("diagnosis:scan_thumbnail", args=[scan.pk])
    words = gettext("Thumbnail of %(scan)s") % {"scan": scan}
    return format_html('<img class="thumbnail" src="{}" alt="{}" loading="lazy">', address, words)


def percent(probability: float | None) -> str:
    """Write a probability (0..1) as the pages do; "-" where there is none."""
    return "-" if probability is None else probabilities.percent(probability)


def quality(scan: Scan) -> str:
    """Say what is poor in the picture of `scan`."""
    return " ".join(scan.quality_sentences) or pgettext("of the quality of a picture", "Nothing found")
