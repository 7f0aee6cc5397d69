"""SQL that Django has no short word for."""

from collections.abc import Mapping
from typing import Any

from django.db import models


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
