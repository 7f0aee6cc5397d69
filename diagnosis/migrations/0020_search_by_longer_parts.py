"""A second index for the search, in whose lists few names are: of parts of six characters instead of three.

The trigrams lead through lists that grow with the table: three digits in a row are in one name of a hundred, and "jpe"
is in all. Words of six characters and more are looked up here; shorter ones have no other parts than trigrams.

PostgreSQL makes the index while the site is in use. That can't be undone as a whole, so each step may be run twice.
Models don't know it: other databases read the names.
"""

from django.db import migrations

PARTS = "scans_by_parts"

# What was added lately is a list that each search reads: not more than 1,024 KiB of it, some thousand scans.
MAKE_INDEX = (
    f"CREATE INDEX CONCURRENTLY {PARTS} ON diagnosis_scan "
    "USING gin (diagnosis_parts(original_name, reference)) WITH (gin_pending_list_limit = 1024)"
)

# It is called for each scan that is written. What an index was filled with has to be looked up in the same way: change
# neither of the two without another index.
MAKE_PARTS = """
CREATE OR REPLACE FUNCTION diagnosis_parts(name text, reference text) RETURNS tsvector
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE COST 10 AS $body$
DECLARE
    parts text[] := '{}';
    word text;
BEGIN
    FOREACH word IN ARRAY ARRAY[upper(name), upper(reference)] LOOP
        FOR place IN 1 .. length(word) - 5 LOOP
            parts := parts || substr(word, place, 6);
        END LOOP;
    END LOOP;
    RETURN array_to_tsvector(parts);
END
$body$
"""

# Of a very long word the beginning is enough: what was found is compared with the whole one.
MAKE_PARTS_OF = r"""
CREATE OR REPLACE FUNCTION diagnosis_parts_of(word text) RETURNS tsquery
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $body$
SELECT string_agg('''' || replace(replace(substr(sought, place, 6), '\', '\\'), '''', '''''') || '''', ' & ')::tsquery
FROM (SELECT upper(left(word, 100)) AS sought) given, generate_series(1, length(sought) - 5) place
$body$
"""


def index_parts(apps, schema_editor):
    if schema_editor.connection.vendor != "postgresql":
        return
    for statement in (
        MAKE_PARTS,
        MAKE_PARTS_OF,
        # An interrupted run leaves half an index of this name.
        f"DROP INDEX CONCURRENTLY IF EXISTS {PARTS}",
        MAKE_INDEX,
        # How frequent a part is decides between this index and reading the newest scans.
        "ANALYZE diagnosis_scan",
    ):
        schema_editor.execute(statement, params=None)


def forget_parts(apps, schema_editor):
    if schema_editor.connection.vendor != "postgresql":
        return
    schema_editor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {PARTS}")
    schema_editor.execute("DROP FUNCTION IF EXISTS diagnosis_parts(text, text), diagnosis_parts_of(text)")


class Migration(migrations.Migration):
    # Indexes of a site that is in use are built outside of a transaction.
    atomic = False

    dependencies = [("diagnosis", "0019_names_of_audit_events")]

    operations = [migrations.RunPython(index_parts, forget_parts)]
