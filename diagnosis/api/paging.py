"""Pages by a cursor: each one starts where the last one ended, so the thousandth costs what the first did."""

from datetime import UTC, datetime
from typing import Any

from django.http import QueryDict
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request

from diagnosis.api.problems import Unprocessable

DEFAULT_SIZE = 50
MAX_SIZE = 200


def once_each(given: Any) -> dict[str, Any]:
    """Give the fields of a query or a form; one that came several times is refused, lest all but one be dropped."""
    if not isinstance(given, QueryDict):
        return given  # there was no body at all
    if several := [name for name, values in given.lists() if len(values) > 1]:
        raise Unprocessable(dict.fromkeys(several, "It can be given once only."))
    return given.dict()


class Strict(serializers.Serializer):
    """Refuses what it doesn't know: a misspelt filter would otherwise give every row."""

    def validate(self, given: dict[str, Any]) -> dict[str, Any]:
        """Name the unknown fields."""
        if unknown := [name for name in self.initial_data if name not in self.fields]:
            raise Unprocessable(dict.fromkeys(unknown, "There is no such field."))
        return given


@extend_schema_field({"type": "string", "format": "cursor", "minLength": 1})
class CursorField(serializers.CharField):
    """What only a page can give; Pages reads it."""


class PageQuery(Strict):
    """Which page of a list, and how long."""

    cursor = CursorField(
        required=False, help_text="Where the page starts: follow `next` and `previous` instead of making one."
    )
    page_size = serializers.IntegerField(
        required=False, min_value=1, max_value=MAX_SIZE, default=DEFAULT_SIZE, help_text="Rows on the page."
    )


def _check_moment(position: str) -> None:
    """Raise ValueError or OverflowError where the database would stumble over what a changed cursor holds."""
    moment = datetime.fromisoformat(position)
    if moment.tzinfo is None:
        raise ValueError("The time zone is missing.")
    moment.astimezone(UTC)


class Pages(CursorPagination):
    """Newest first by the view's `newest_first`, a field of moments; without a count."""

    page_size = DEFAULT_SIZE
    page_size_query_param = "page_size"
    max_page_size = MAX_SIZE

    def get_ordering(self, request: Request, queryset: Any, view: Any) -> tuple[str, ...]:
        """Order by the moment, and by id where two have the same."""
        return (f"-{view.newest_first}", "-id")

    def decode_cursor(self, request: Request) -> Cursor | None:
        """Read the cursor; one that nobody was given is an error in the request."""
        try:
            cursor = super().decode_cursor(request)
            if cursor and cursor.position is not None:
                _check_moment(str(cursor.position))
        except (NotFound, ValueError, OverflowError) as error:
            raise Unprocessable({"cursor": "This is not a cursor that a page gave."}) from error
        return cursor

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        """Leave them to PageQuery."""
        return []

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Describe a page."""
        link = {"type": ["string", "null"], "format": "uri"}
        return {
            "type": "object",
            "required": ["next", "previous", "results"],
            "properties": {
                "next": link
                | {
                    "description": "The address of the following page, of older rows.",
                    "example": "https://xray.example.org/api/v1/scans/?cursor=cD0yMDI2LTAzLTAy",
                },
                "previous": link | {"description": "The address of the page before, of newer rows.", "example": None},
                "results": schema,
            },
        }
