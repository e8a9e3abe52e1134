"""`kirimhook migrate`: bring a sender's database to what this version needs."""

from __future__ import annotations

from typing import Annotated

import typer

from kirimhook.cli import output
from kirimhook.cli.failure import Failure, misuse

EXAMPLES = """Examples:

  kirimhook migrate --database postgresql://kirimhook@db.example.com/kirimhook

  kirimhook migrate --database sqlite:///sender.db --json

Stop the senders of an older version first; one process at a time migrates, any other waits for it. A sender does it by
itself on SQLite, and never on PostgreSQL. With --json: {applied, revision}, the first a list.

Exit codes: 0 the database is what this version needs, 1 it could not be brought there, 2 the command line makes no
sense."""


def migrate(
    database: Annotated[
        str,
        typer.Option("--database", envvar="KIRIMHOOK_DATABASE", metavar="URL", help="Where the sender keeps things."),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document instead of text.")] = False,
) -> None:
    """Bring a sender's database to what this version needs."""
    from kirimhook import migrations
    from kirimhook.sender.database import StorageUnavailable

    try:
        applied = migrations.migrate(database, output.note)
    except ValueError as error:
        raise misuse(f"--database: {error}") from None
    except (StorageUnavailable, migrations.WrongRevision) as error:
        raise Failure(str(error)) from None
    revision = migrations.needed()
    if as_json:
        output.document({"applied": applied, "revision": revision})
    else:
        output.text(f"the database is at revision {revision}" + ("" if applied else ", as it was before"))
