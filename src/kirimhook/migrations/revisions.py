"""Which revisions there are, which ones a database has, and how it gets the others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, make_url

from kirimhook.sender.schema import metadata

VERSION_TABLE = "kirimhook_sender_version"
FOLDER = Path(__file__).parent / "sender"


class WrongRevision(Exception):
    """The database is not what this version of kirimhook needs; the message says what to do."""


def config(connection: Connection | None = None) -> Config:
    """Alembic's, without a file. Its `env.py` works on `connection`."""
    made = Config()
    made.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    made.set_main_option("path_separator", "os")
    made.attributes["connection"] = connection
    return made


def known() -> list[str]:
    """From the first to the last."""
    return [script.revision for script in ScriptDirectory.from_config(config()).walk_revisions()][::-1]


def needed() -> str:
    """The revision that this version needs."""
    return known()[-1]


def current(connection: Connection) -> str | None:
    """Raises `WrongRevision` for tables of our names that are not ours."""
    revision = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}).get_current_revision()
    if revision is None and (taken := sorted(set(inspect(connection).get_table_names()) & set(metadata.tables))):
        raise WrongRevision(f"the database has tables of another program: {', '.join(taken)}; give the sender its own")
    return revision


def missing(connection: Connection) -> list[str]:
    """Raises `WrongRevision`."""
    revision, all_known = current(connection), known()
    if revision is None:
        return all_known
    if revision not in all_known:
        raise WrongRevision(
            f"the database is at revision {revision}, which this version does not know (its last is {all_known[-1]}):"
            " a newer kirimhook migrated it; install that one"
        )
    return all_known[all_known.index(revision) + 1 :]


def refuse_unless_current(connection: Connection, url: str) -> None:
    if missing(connection):
        shown = make_url(url).render_as_string(hide_password=True)
        raise WrongRevision(
            f"the database is at revision {current(connection) or 'none'}, this version needs {needed()}:"
            f" run kirimhook migrate --database {shown}"
        )


def apply(connection: Connection, progress: Callable[[str], None]) -> list[str]:
    """To be called while no other process does. Raises `WrongRevision`."""
    todo = missing(connection)
    scripts = ScriptDirectory.from_config(config())
    for revision in todo:
        progress(f"{revision}: {scripts.get_revision(revision).doc}")
        connection.rollback()
        with connection.begin():
            if connection.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            command.upgrade(config(connection), revision)
    return todo
