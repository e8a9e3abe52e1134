"""`kirimhook sender erase`: what is held of one customer, erased on request."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kirimhook.cli import output
from kirimhook.cli.failure import Exit, Failure, misuse
from kirimhook.cli.sender.options import DATABASE, DatabaseUrl
from kirimhook.contract import customers

if TYPE_CHECKING:
    from kirimhook.contract.customers import Number
    from kirimhook.sender.service import Erasure, Sender

EXAMPLES = """Examples:

  kirimhook sender erase --customer '+62 812-3456-7890' --dry-run

  kirimhook sender erase --customer +6281234567890 --org acme --yes --database postgresql://kirim@db/kirim

Looks through every event for the number, however it is written, and erases its body and its id, and of its attempts
what was sent and answered. Deliveries stay listed, and the ledger balances. The event published again is a duplicate
as before; a replay of it is refused (event_erased). An event that still is to be delivered is left: run it again when
it has ended. Bodies that name the customer in no number, such as those of conversations, are not found.

A SQLite file is built anew afterwards, so that no copy is left in it or its log: senders wait with what they write,
about 4 s for 1 GB. PostgreSQL reuses the place of what was erased after a vacuum. Backups, and answers kept sealed for
a repeated Idempotency-Key (24 h), are as they were.

With --json: {customer, dry_run, scanned, found, erased, deliveries, attempts, open, overwritten}. customer: its last
digits. overwritten: null on PostgreSQL.

Exit codes: 0 done, 1 something of the customer is left, 2 the command line makes no sense."""


def erase(
    customer: Annotated[
        str, typer.Option("--customer", metavar="NUMBER", help="A phone number with its country code.")
    ],
    organisation: Annotated[
        str | None, typer.Option("--org", metavar="NAME", help="Only of this organisation; without it: of all.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count, and erase nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    database: DatabaseUrl = DATABASE,
    as_document: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """Erase what events hold of one customer, for good."""
    from kirimhook.cli.sender.opened import with_sender

    try:
        number = customers.number(customer)
    except ValueError as error:
        raise misuse(f"--customer: {error}") from None
    if not (dry_run or yes or output.is_terminal()):
        raise misuse("what is erased is gone for good: say --yes, or --dry-run to count alone")

    async def work(sender: Sender) -> tuple[Erasure, bool]:
        with _progress() as tell:
            if dry_run or not yes:
                done = await sender.erase(number, organisation, dry_run=True, tell=tell)
                if dry_run or not done.found:
                    return done, False
        if not yes:
            typer.confirm(f"Erase what {done.found} events hold, for good?", abort=True, err=True)
        with _progress() as tell:
            done = await sender.erase(number, organisation, tell=tell)
        return done, await sender.has_erased()

    done, is_to_rebuild = with_sender(database, work)
    overwritten = _overwritten(database) if is_to_rebuild and database.startswith("sqlite") else None
    _show(number, done, dry_run, overwritten, as_document)
    if done.erased.open or overwritten is False:
        raise typer.Exit(Exit.NO)


def _overwritten(database: str) -> bool:
    """Also what a run that was killed left. Raises `Failure`."""
    from kirimhook.sender.database import StorageUnavailable
    from kirimhook.sender.database.rebuilding import rebuild

    try:
        return rebuild(database)
    except (sqlite3.Error, OSError, StorageUnavailable) as error:
        raise Failure(
            f"erased, but the file could not be built anew, and copies may be left in it: {error}; run it again"
        ) from error


def _show(number: Number, done: Erasure, dry_run: bool, overwritten: bool | None, as_document: bool) -> None:
    if as_document:
        output.document(_document(number, done, dry_run, overwritten))
        return
    whose = f"{customers.masked(number)}, {done.scanned} looked at"
    if dry_run:
        output.text(f"{done.found} events would be erased of the customer {whose}")
        return
    erased = done.erased
    output.text(f"{erased.events} events erased of the customer {whose}")
    output.text(f"with them what {erased.attempts} attempts of {erased.deliveries} deliveries sent and were answered")
    if erased.open:
        output.note(f"{erased.open} events are still to be delivered, and were left: run it again when they have ended")
    if overwritten is False:
        output.note("the log still holds what was, since somebody reads it all the time: run it again")


def _document(number: Number, done: Erasure, dry_run: bool, overwritten: bool | None) -> dict[str, Any]:
    erased = done.erased
    return {
        "customer": customers.masked(number),
        "dry_run": dry_run,
        "scanned": done.scanned,
        "found": done.found,
        "erased": erased.events,
        "deliveries": erased.deliveries,
        "attempts": erased.attempts,
        "open": erased.open,
        "overwritten": overwritten,
    }


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[Erasure], None]]:
    """Gives what to call after each step: something that moves, for somebody who looks."""
    if not output.is_terminal():
        yield _silent
        return
    from rich.console import Console

    with Console(stderr=True).status("looking") as status:
        yield lambda done: status.update(f"{done.scanned} events looked at, {done.found} found")


def _silent(_done: Erasure) -> None: ...
