"""`kirimhook inbox erase`: what one customer's events say goes; that they were handled stays known."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Annotated

import typer

from kirimhook.backends import kind_of
from kirimhook.cli import output
from kirimhook.cli.failure import Exit, Failure, misuse
from kirimhook.cli.inbox_opened import DEFAULT, InboxUrl, with_inbox
from kirimhook.contract.customers import Number, is_named_by, masked, mentions, number
from kirimhook.receiver.inbox import Inbox
from kirimhook.receiver.model import FINISHED, StoredEvent

EXAMPLES = """Examples:

  kirimhook inbox erase --customer +6281234567890 --dry-run

  kirimhook inbox erase --customer '+62 812-3456-7890' --yes --json

Reads the whole inbox. An event is the customer's where a value in its body is the number, its id holds the number (a
wamid does), or its ordering key names it; a body that names several customers goes whole. Erased are body, event id,
delivery id, ordering key and the reason of a parked event; what stays is a digest, so that a retry or a replay is a
duplicate still. It cannot be undone. An event that is not finished is left: run it again when its handler is through.
What your handlers stored is left, and bodies that name the customer in no number, such as those of conversations.

A SQLite inbox is then written anew, about 4 s for 1 GB, while receivers answer 503 and the sender retries. What
PostgreSQL, disks and backups keep: docs/operating.md.

With --json: {customer, dry_run, scanned, found, erased, open}. customer: its last digits. open: not finished.

Exit codes: 0 done, 1 some are not finished, or you said no, or the inbox cannot be used, 2 the command line makes no
sense, 130 interrupted."""
PAGE = 500
POSTGRES_KEEPS = "PostgreSQL keeps what it held until it vacuums and recycles its log: docs/operating.md says more"


@dataclass(slots=True)
class Found:
    """By number."""

    scanned: int = 0
    finished: list[int] = field(default_factory=list)
    unfinished: list[int] = field(default_factory=list)
    erased_before: list[int] = field(default_factory=list)
    """Whoever's: an erase that broke off may have left something of them."""

    @property
    def total(self) -> int:
        return len(self.finished) + len(self.unfinished)


def erase(
    customer: Annotated[str, typer.Option("--customer", metavar="+62…", help="The number, with its country code.")],
    url: InboxUrl = DEFAULT,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count.")] = False,
    as_document: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """Erase what the inbox holds about one customer, and say how much that was.

    Counts first, and asks.
    """
    whose = _number(customer)
    if not (dry_run or yes or output.is_terminal()):
        raise misuse("what is erased is gone for good: say --yes, or --dry-run to count alone")
    try:
        with _progress() as progress:
            found = with_inbox(url, lambda opened: _search(opened, whose, progress))
        if found.finished and not (yes or dry_run):
            _ask(found, whose)
        erased = 0 if dry_run else with_inbox(url, lambda opened: opened.erase(found.erased_before + found.finished))
    except KeyboardInterrupt:
        output.note("kirimhook: interrupted: run it again, it finishes what it began")
        raise
    _tell(found, erased, whose, dry_run=dry_run, as_document=as_document)
    if erased and kind_of(url) == "postgresql":
        output.note(POSTGRES_KEEPS)
    if not dry_run and erased < found.total:
        raise typer.Exit(Exit.NO)


def _number(customer: str) -> Number:
    try:
        return number(customer)
    except ValueError as error:
        raise misuse(f"--customer: {error}") from None


async def _search(opened: Inbox, whose: Number, progress: Callable[[int, int], None]) -> Found:
    found, last = Found(), 0
    total = sum((await opened.stats()).counts.values())
    while page := await opened.read(last, PAGE):
        for stored in page:
            _sort(found, stored, whose)
        found.scanned, last = found.scanned + len(page), page[-1].number
        progress(found.scanned, total)
    return found


def _sort(found: Found, stored: StoredEvent, whose: Number) -> None:
    if not stored.event.event_id:
        found.erased_before.append(stored.number)
    elif _is_about(stored, whose):
        (found.finished if stored.state in FINISHED else found.unfinished).append(stored.number)


def _is_about(stored: StoredEvent, whose: Number) -> bool:
    """Also one whose body is past its retention."""
    event = stored.event
    named = (event.event_id, (event.ordering_key or "").rpartition(":")[2])
    return any(is_named_by(text, whose) for text in named) or (stored.has_payload and mentions(event.body, whose))


def _ask(found: Found, whose: Number) -> None:
    if not typer.confirm(f"Erase {len(found.finished)} events of {masked(whose)} for good?", err=True):
        raise Failure("nothing was erased")


def _tell(found: Found, erased: int, whose: Number, *, dry_run: bool, as_document: bool) -> None:
    left = len(found.unfinished) if dry_run else found.total - erased
    if as_document:
        counts = {"scanned": found.scanned, "found": found.total, "erased": erased, "open": left}
        output.document({"customer": masked(whose), "dry_run": dry_run, **counts})
        return
    verb, count = ("would be erased", len(found.finished)) if dry_run else ("erased", erased)
    output.text(f"{found.scanned} events read, {found.total} about {masked(whose)}: {count} {verb}")
    if left:
        output.note(f"{left} are not finished and were left: run it again when they are")


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """Gives what to call with events read, and how many there were at the beginning."""
    if not sys.stderr.isatty():
        yield lambda *_: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("reading"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reading", total=None)
        yield lambda read, total: bar.update(task, completed=read, total=max(read, total))
