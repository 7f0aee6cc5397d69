"""Lists of the admin that may have any number of rows: each page, filter and search costs the same at a million."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

from django.contrib.admin.views.main import ORDER_VAR, PAGE_VAR, ChangeList
from django.contrib.auth import get_user_model
from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property
from django.utils.text import smart_split, unescape_string_literal
from django.utils.translation import gettext_lazy as _

from diagnosis.admin.records import RecordAdmin
from diagnosis.expressions import holds
from diagnosis.pages import page_of

# Up to so many people whose name holds the searched word, their scans are looked up by them.
FEW_OWNERS = 100

SEARCHED = _(
    "Owner, reference, file name, or the whole id of a scan or a prediction. A whole user name finds what is that "
    "person's; in quotes it is looked for everywhere."
)

# Under this name a list that is sorted by an expression has its values.
SORTED_BY = "sorted_by"


class OnePage(Paginator):
    """What Django's admin asks a paginator for, of the one page that is there."""

    @cached_property
    def count(self) -> int:
        return len(self.object_list)


class LongChangeList(ChangeList):
    """A list without page numbers and without a count: `p` in the address is a mark of diagnosis.pages."""

    def get_ordering(self, request: HttpRequest, queryset: QuerySet) -> list[Any]:
        """Leave the order to the page."""
        return []

    def chosen_order(self) -> tuple[Any, type, bool]:
        """Give what the list is sorted by (a field's name or an expression), its type, and whether downwards."""
        rows = cast(LongListAdmin, self.model_admin)
        chosen = self.params.get(ORDER_VAR, "").split(".")[0]
        column = chosen.removeprefix("-")
        name = str(self.list_display[int(column)]) if column in map(str, range(len(self.list_display))) else ""
        if name not in rows.sorted_from_an_index:
            return rows.sort_key(rows.newest_by, self.params), datetime, True
        return rows.sort_key(name, self.params), rows.sorted_from_an_index[name], chosen.startswith("-")

    def get_results(self, request: HttpRequest) -> None:
        """Fetch the page that the address names."""
        by, kind, descending = self.chosen_order()
        rows = self.queryset
        if not isinstance(by, str):
            rows, by = rows.annotate(**{SORTED_BY: by}), SORTED_BY
        mark = request.GET.get(PAGE_VAR, "")
        self.page = page_of(rows, by=by, kind=kind, descending=descending, mark=mark, size=self.list_per_page)
        self.result_list = self.page.rows
        self.paginator = OnePage(self.result_list, self.list_per_page)
        # Equal, so that nowhere a total is spoken of.
        self.result_count = self.full_result_count = len(self.page)
        self.show_full_result_count, self.show_admin_actions = False, True
        self.can_show_all = self.multi_page = False

    @property
    def first_url(self) -> str:
        """Give the address of the first page."""
        return self.get_query_string()

    @property
    def previous_url(self) -> str:
        """Give the address of the page before."""
        return self.get_query_string({PAGE_VAR: self.page.previous})

    @property
    def next_url(self) -> str:
        """Give the address of the page after."""
        return self.get_query_string({PAGE_VAR: self.page.next})


class LongListAdmin(RecordAdmin):
    """Rows that come in any number."""

    # The column of moments by which the list is sorted if nothing else is chosen, the newest first.
    newest_by: str

    # The columns with an index to be sorted from, and the types of their values.
    sorted_from_an_index: dict[str, type] = {}

    # The way from a row to its scan: "" or "scan__".
    to_scan = ""

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """List without counting."""
        return LongChangeList

    def get_sortable_by(self, request: HttpRequest) -> tuple[str, ...]:
        """Offer no order that would sort all rows; the others are filters."""
        return tuple(self.sorted_from_an_index)

    def sort_key(self, column: str, params: Mapping[str, str]) -> Any:
        """Give what sorts by `column`, a field's name or an expression, in a list that is narrowed by `params`."""
        return getattr(getattr(self, column, None), "admin_order_field", column)

    def get_search_results(self, request: HttpRequest, queryset: QuerySet, search_term: str) -> tuple[QuerySet, bool]:
        """Find an exact id by itself; else every word has to be in the owner's name, the reference or the file name.

        A whole name of a person means that person alone, whose rows an index has in order; in quotes it is a word.
        """
        if self.is_id(search_term):
            return super().get_search_results(request, queryset, search_term)
        for bit in smart_split(search_term):
            is_quoted = bit[0] == bit[-1] and bit[0] in "\"'" and len(bit) > 1
            word = unescape_string_literal(bit) if is_quoted else bit
            person = None if is_quoted else get_user_model().objects.filter(username=word).first()
            queryset = queryset.filter(owner=person) if person else queryset.filter(self.holds(word))
        return queryset, False

    def holds(self, word: str) -> Q:
        """Give the condition that `word` is in one of the three."""
        owners = get_user_model().objects.filter(username__icontains=word).values_list("pk", flat=True)
        few = list(owners[: FEW_OWNERS + 1])
        # Ids can be looked up in an index. Where they are many, so are their scans, and the next page is close.
        of_owners = Q(**{f"{self.to_scan}owner__in": few if len(few) <= FEW_OWNERS else owners})
        return of_owners | holds(word, to_scan=self.to_scan)
