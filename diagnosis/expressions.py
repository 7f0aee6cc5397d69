"""SQL that Django has no short word for."""

from collections.abc import Mapping
from typing import Any

from django.db import connection, models
from django.db.models import F, Q, Value


class ValueOfEach(models.Expression):
    """For each row a value of its own, by its primary key; NULL for a key that is not among `values`.

    Says what Case(*[When(pk=key, then=Value(value)) ...]) says. That one builds a query for each row, which takes
    longer than the model does for a picture of a batch.
    """

    def __init__(self, values: Mapping[Any, Any], output_field: models.Field) -> None:
        super().__init__(output_field=output_field)
        self.values = values

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        """Give the SQL, cast to the type of the column: PostgreSQL takes what a case holds for text."""
        key, kind = compiler.query.get_meta().pk, self.output_field
        parameters: list[Any] = []
        for row, value in self.values.items():
            parameters += [key.get_db_prep_value(row, connection), kind.get_db_prep_save(value, connection)]
        cases = "WHEN %s THEN %s " * len(self.values)
        column = connection.ops.quote_name(key.column)
        return f"CAST(CASE {column} {cases}END AS {kind.cast_db_type(connection)})", tuple(parameters)


# As long as the parts in the index scans_by_parts.
LONG_WORD = 6


def holds(word: str, *, to_scan: str = "") -> Q:
    """Give the condition that `word` is in the file's name or the reference of a scan, whatever the case.

    `to_scan` is the way from a row to its scan: "" or "scan__".
    """
    if len(word) >= LONG_WORD and connection.vendor == "postgresql":
        return Q(_HoldsLongWord(F(f"{to_scan}original_name"), F(f"{to_scan}reference"), Value(word)))
    return Q(**{f"{to_scan}original_name__icontains": word}) | Q(**{f"{to_scan}reference__icontains": word})


class _HoldsLongWord(models.Func):
    """The same from an index that finds few names beside those that hold the word.

    The names are compared as well, for the parts of a word may be in a name and not the word. They are compared first:
    where another index leads to the rows, most are turned down without taking their names to parts. It is done by
    STRPOS and not by LIKE, of which the database would reckon a second time that few names hold the word, and which has
    an index of its own to lead astray.
    """

    output_field = models.BooleanField()

    def as_sql(self, compiler: Any, connection: Any, *_: Any, **__: Any) -> tuple[str, tuple[Any, ...]]:
        """Give the SQL of name, reference and word."""
        (name, of_name), (reference, of_reference), (word, of_word) = (
            compiler.compile(source) for source in self.get_source_expressions()
        )
        sql = (
            f"((STRPOS(UPPER({name}), UPPER({word})) > 0 OR STRPOS(UPPER({reference}), UPPER({word})) > 0) "
            f"AND diagnosis_parts({name}, {reference}) @@ diagnosis_parts_of({word}))"
        )
        return sql, (*of_name, *of_word, *of_reference, *of_word, *of_name, *of_reference, *of_word)
