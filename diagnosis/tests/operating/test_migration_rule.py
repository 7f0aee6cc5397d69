"""New migrations let the web and worker processes of the version before go on: docs/operating.md says the rule.

Held by django-migration-linter over the SQL for PostgreSQL. Those up to 0019 came before the rule; to some of them web
and workers had to be stopped, as docs/operating.md says.
"""

import pytest
from django.db.migrations.loader import MigrationLoader
from django_migration_linter.migration_linter import MigrationLinter
from django_migration_linter.sql_analyser import analyse_sql_statements

pytestmark = [pytest.mark.services, pytest.mark.django_db]

LAST_BEFORE_THE_RULE = "0019"
MIGRATIONS = sorted(name for app, name in MigrationLoader(None).disk_migrations if app == "diagnosis")

# What the linter finds and a person has looked at: the code of the finding, and why it does no harm.
LOOKED_AT: dict[str, dict[str, str]] = {}


def findings(name: str) -> set[str]:
    """Give the codes of what would stop or break the version before, or keep people from writing for long."""
    linter = MigrationLinter(no_cache=True, no_output=True)
    errors, _, warnings = analyse_sql_statements(linter.sql_analyser_class, linter.get_sql("diagnosis", name), [])
    data_errors, _, data_warnings = linter.analyse_data_migration(
        linter.migration_loader.get_migration("diagnosis", name)
    )
    return {finding.code for finding in [*errors, *warnings, *data_errors, *data_warnings]}


def test_new_migrations_let_the_version_before_go_on():
    new = [name for name in MIGRATIONS if name[:4] > LAST_BEFORE_THE_RULE]
    found = {name: findings(name) - LOOKED_AT.get(name, {}).keys() for name in new}
    assert {name: codes for name, codes in found.items() if codes} == {}


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("0003_uncertainty_quality_and_heatmaps", "NOT_NULL"),
        ("0011_every_filter_from_an_index", "NOT_NULL"),
    ],
)
def test_a_migration_that_breaks_the_rule_is_found(name, found):
    assert found in findings(name)
