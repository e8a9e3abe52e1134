"""`kirimhook migrate`: bring an inbox, or a sender's database, to what this version needs."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import typer

from kirimhook.cli import output
from kirimhook.cli.failure import Failure, misuse
from kirimhook.cli.inbox_opened import VARIABLE as INBOX

DATABASE = "KIRIMHOOK_DATABASE"
EXAMPLES = """Examples:

  kirimhook migrate --inbox postgresql://kirim@db.example.com/kirim

  kirimhook migrate --inbox 'nats://n1,n2,n3/kirim?replicas=3'

  kirimhook migrate --database postgresql://kirimhook@db.example.com/kirimhook

  kirimhook migrate --database sqlite:///sender.db --json

Stop what an older version runs on it first; one process at a time migrates, any other waits for it. Without an option:
$KIRIMHOOK_INBOX or $KIRIMHOOK_DATABASE, whichever is set. Inboxes and senders on SQLite do it by themselves; on
PostgreSQL and NATS they never do. With --json: {applied, revision}, the first a list.

Exit codes: 0 it is what this version needs, 1 it could not be brought there, 2 the command line makes no sense."""


class Migrated(NamedTuple):
    applied: list[str]
    revision: str


def migrate(
    context: typer.Context,
    inbox: Annotated[
        str | None, typer.Option("--inbox", envvar=INBOX, metavar="URL", help="Where a receiver stores events.")
    ] = None,
    database: Annotated[
        str | None, typer.Option("--database", envvar=DATABASE, metavar="URL", help="Where a sender keeps things.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document instead of text.")] = False,
) -> None:
    """Bring an inbox, or a sender's database, to what this version needs."""
    named = {name: url for name, url in (("inbox", inbox), ("database", database)) if url is not None}
    said = {name: url for name, url in named.items() if _is_said(context, name)}
    named = said or named
    if not named:
        raise misuse("name what to migrate: --inbox URL or --database URL")
    if len(named) > 1:
        raise misuse("one at a time: give --inbox or --database")
    [(what, url)] = named.items()
    done = _migrate_inbox(url) if what == "inbox" else _migrate_database(url)
    if as_json:
        output.document({"applied": done.applied, "revision": done.revision})
    else:
        output.text(f"the {what} is at revision {done.revision}" + ("" if done.applied else ", as it was before"))


def _is_said(context: typer.Context, name: str) -> bool:
    """On the command line, which wins over the environment."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _migrate_inbox(url: str) -> Migrated:
    from kirimhook.backends import migrate_inbox, needed, scrubbed, shown
    from kirimhook.receiver.inbox import InboxUnavailable

    try:
        applied = migrate_inbox(url)
        for step in applied:
            output.note(step)
        return Migrated(applied, needed(url))
    except ValueError as error:
        raise misuse(f"--inbox: {scrubbed(str(error), url)}") from None
    except InboxUnavailable as error:
        raise Failure(f"the inbox {shown(url)} cannot be migrated: {scrubbed(str(error), url)}") from None


def _migrate_database(url: str) -> Migrated:
    from kirimhook import migrations
    from kirimhook.sender.database import StorageUnavailable

    try:
        applied = migrations.migrate(url, output.note)
    except ValueError as error:
        raise misuse(f"--database: {error}") from None
    except (StorageUnavailable, migrations.WrongRevision) as error:
        raise Failure(str(error)) from None
    return Migrated(applied, migrations.needed())
