"""Run by Alembic: its configuration carries the connection, with the transaction that all happens in."""

from __future__ import annotations

from alembic import context

from kirimhook.migrations.revisions import VERSION_TABLE
from kirimhook.sender.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    render_as_batch=True,  # SQLite changes a column by making the table anew
)
context.run_migrations()
