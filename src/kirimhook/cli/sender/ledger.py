"""`kirimhook sender ledger`: whether every event that was published is accounted for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from kirimhook.cli import output
from kirimhook.cli.failure import Exit
from kirimhook.cli.sender.options import DATABASE, DatabaseUrl

if TYPE_CHECKING:
    pass

EXAMPLES = """Examples:

  kirimhook sender ledger

  kirimhook sender ledger --database postgresql://kirim@db/kirim --json | jq .problems

Exit codes: 0 it balances, 1 it does not, or the database cannot be used, 2 the command line makes no sense."""


def ledger(
    database: DatabaseUrl = DATABASE,
    as_document: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """Account for every delivery of every subscription: what was published is what succeeded, died or is open.

    Looks at one moment, while senders go on. Exit code 1: it does not balance; stderr says what.
    """
    from kirimhook.cli.sender.opened import with_sender

    raise NotImplementedError(Exit, output, with_sender)
