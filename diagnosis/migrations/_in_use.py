"""Migrations of a site that is in use."""

from django.db import migrations


class AddIndexInUse(migrations.AddIndex):
    """Add an index; on PostgreSQL without keeping anybody from writing."""

    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        if schema_editor.connection.vendor != "postgresql":
            super().database_forwards(app_label, schema_editor, from_state, to_state)
            return
        # An interrupted run leaves half an index of this name.
        schema_editor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {schema_editor.quote_name(self.index.name)}")
        model = to_state.apps.get_model(app_label, self.model_name)
        schema_editor.add_index(model, self.index, concurrently=True)
