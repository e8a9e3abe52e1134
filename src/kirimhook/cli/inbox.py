"""`kirimhook inbox`: what is stored, and what an operator does about it."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Annotated, Any

import typer

from kirimhook.cli import inbox_copy, inbox_erase, output
from kirimhook.cli.event_shown import COLUMNS, LONG, as_json, as_row
from kirimhook.cli.failure import Failure, misuse
from kirimhook.cli.inbox_opened import DEFAULT, InboxUrl, with_inbox
from kirimhook.cli.moments import span
from kirimhook.cli.selection import After, Before, EventId, Numbers, States, Types, selected
from kirimhook.receiver.inbox import Capabilities, Filter, Inbox, Page, PayloadPurged, Purged, Stats
from kirimhook.receiver.model import FINISHED, EventState

inbox = typer.Typer(
    help="Look into the inbox, put back what was parked, erase a customer's events, move it elsewhere.",
    no_args_is_help=True,
    epilog="Exit codes: 0 done, 1 no such event, or the inbox cannot be used, 2 the command line makes no sense.",
)
inbox.command("copy", epilog=inbox_copy.EXAMPLES)(inbox_copy.copy_inbox)
inbox.command("erase", epilog=inbox_erase.EXAMPLES)(inbox_erase.erase)
PAGE = 200
PURGE_STEP = 1000

AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]
AsLines = Annotated[bool, typer.Option("--json", help="One JSON object a line on stdout.")]


@inbox.command(
    "list",
    epilog="Examples:\n\n  kirimhook inbox list --state parked --state unhandled\n\n"
    "  kirimhook inbox list --type 'message.*' --after 2h --json | jq .event_id",
)
def list_events(  # noqa: PLR0913  # options
    url: InboxUrl = DEFAULT,
    states: States = None,
    types: Types = None,
    event_id: EventId = None,
    numbers: Numbers = None,
    after: After = None,
    before: Before = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many, the newest.")] = 25,
    cursor: Annotated[str | None, typer.Option("--cursor", help="Go on where a list ended.")] = None,
    as_lines: AsLines = False,
) -> None:
    """List stored events, newest first."""
    where = selected(states, types, event_id, numbers, after, before)
    page = with_inbox(url, lambda opened: _pages(opened, where, limit, cursor))
    if as_lines:
        for stored in page.events:
            output.line(as_json(stored))
    else:
        output.table(COLUMNS, [as_row(stored, int(time.time() * 1000)) for stored in page.events], LONG)
    if page.next_cursor is not None:
        output.note(f"there are more: --cursor {page.next_cursor}")


async def _pages(opened: Inbox, where: Filter, limit: int, cursor: str | None) -> Page:
    page = Page([], cursor)
    while len(page.events) < limit:
        try:
            more = await opened.list(where, min(PAGE, limit - len(page.events)), page.next_cursor)
        except ValueError as error:
            raise misuse(f"--cursor: {error}") from None
        page = Page(page.events + more.events, more.next_cursor)
        if page.next_cursor is None:
            break
    return page


@inbox.command(
    "show", epilog="Examples:\n\n  kirimhook inbox show 1042\n\n  kirimhook inbox show 1042 --body > body.json"
)
def show(
    number: Annotated[int, typer.Argument(help="Its number, as `inbox list` shows it.")],
    url: InboxUrl = DEFAULT,
    body: Annotated[bool, typer.Option("--body", help="The body alone, byte for byte, on stdout.")] = False,
    as_document: AsJson = False,
) -> None:
    """Show one event: everything but its body, or its body. Exit code 1: there is no such event, or no body."""
    stored = with_inbox(url, lambda opened: opened.get(number))
    if stored is None:
        raise Failure(f"there is no event {number}")
    if body:
        if not stored.has_payload:
            raise Failure(f"the body of event {number} is past its retention, or was erased")
        output.raw(stored.event.body)
    elif as_document:
        output.document(as_json(stored))
    else:
        output.pairs((name.replace("_", " "), value) for name, value in as_json(stored).items())


@inbox.command(
    "put-back",
    epilog="Examples:\n\n  kirimhook inbox put-back --state parked --type 'message.*' --dry-run\n\n"
    "  kirimhook inbox put-back --number 1042 --yes",
)
def put_back(  # noqa: PLR0913  # options
    url: InboxUrl = DEFAULT,
    states: States = None,
    types: Types = None,
    event_id: EventId = None,
    numbers: Numbers = None,
    after: After = None,
    before: Before = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count.")] = False,
    as_document: AsJson = False,
) -> None:
    """Handle finished events again: parked, unhandled, skipped or done; with fresh attempts.

    Counts them first, and asks. Exit code 1: you said no, or none has a body left.
    """
    where = selected(states, types, event_id, numbers, after, before)
    if not where.states and not where.numbers and where.event_id is None:
        raise misuse("name what to put back: --state parked (unhandled, skipped, done), --number or --event-id")
    if where.states - FINISHED:
        raise misuse("only parked, unhandled, skipped and done events can be put back")
    where = replace(where, states=where.states or FINISHED)
    count = with_inbox(url, lambda opened: opened.count(where))
    if not dry_run and count and not yes:
        _ask(count, where)
    done = 0 if dry_run or not count else _put_back(url, where)
    if as_document:
        output.document({"matched": count, "put_back": done, "dry_run": dry_run})
    elif dry_run:
        output.text(f"{count} would be put back")
    else:
        output.text(f"{done} put back" + (f"; {count - done} have no body any more" if done < count else ""))


def _ask(count: int, where: Filter) -> None:
    if not output.is_terminal():
        raise misuse(f"{count} events match; off a terminal this needs --yes (or --dry-run)")
    again = " Done events will be handled a second time." if EventState.DONE in where.states else ""
    if not typer.confirm(f"Put back {count} events?{again}", err=True):
        raise Failure("nothing was put back")


def _put_back(url: str, where: Filter) -> int:
    try:
        return with_inbox(url, lambda opened: opened.put_back(where))
    except PayloadPurged as error:
        raise Failure(str(error)) from None


@inbox.command("pause", epilog="Example:\n\n  kirimhook inbox pause --inbox sqlite:////var/lib/kirim/inbox.db")
def pause(url: InboxUrl = DEFAULT, as_document: AsJson = False) -> None:
    """Hand out no more events, in any process, until `resume`. Webhooks are still taken in and acknowledged."""
    with_inbox(url, lambda opened: opened.pause())
    _tell_paused(True, as_document)


@inbox.command("resume", epilog="Example:\n\n  kirimhook inbox resume")
def resume(url: InboxUrl = DEFAULT, as_document: AsJson = False) -> None:
    """Hand out events again."""
    with_inbox(url, lambda opened: opened.resume())
    _tell_paused(False, as_document)


def _tell_paused(paused: bool, as_document: bool) -> None:
    if as_document:
        output.document({"paused": paused})
    else:
        output.text("paused: events are stored, none is handled" if paused else "resumed")


@inbox.command(
    "stats", epilog="Examples:\n\n  kirimhook inbox stats\n\n  kirimhook inbox stats --json | jq .states.parked"
)
def stats(url: InboxUrl = DEFAULT, as_document: AsJson = False) -> None:
    """Count events by state."""
    found = _stats_json(with_inbox(url, lambda opened: opened.stats()))
    if as_document:
        output.document(found)
        return
    age = found["oldest_waiting_seconds"]
    rows = [*found["states"].items(), ("paused", "yes" if found["paused"] else "no")]
    output.pairs([*rows, ("oldest waiting", "none" if age is None else span(age)), ("bytes", found["bytes"])])


def _stats_json(stats: Stats) -> dict[str, Any]:
    oldest = stats.oldest_waiting
    return {
        "states": {state.value: stats.counts.get(state, 0) for state in EventState},
        "paused": stats.paused,
        "oldest_waiting_seconds": None if oldest is None else max(0.0, round(time.time() - oldest / 1000, 3)),
        "bytes": stats.bytes,
    }


@inbox.command("purge", epilog="Example:\n\n  kirimhook inbox purge --payload-days 3")
def purge(
    url: InboxUrl = DEFAULT,
    dedupe_days: Annotated[
        float | None, typer.Option("--dedupe-days", help="Forget events this old; at least 7. Without it: 32.")
    ] = None,
    payload_days: Annotated[
        float | None, typer.Option("--payload-days", help="Drop bodies this long after completion. Without it: 7.")
    ] = None,
    as_document: AsJson = False,
) -> None:
    """Remove what is past its retention now; workers do the same all the time. Nothing unfinished, nothing parked."""
    asked = {"dedupe_days": dedupe_days, "payload_days": payload_days}
    given = {name: days for name, days in asked.items() if days is not None}
    purged, can = with_inbox(url, _purge_all, **given)
    if payload_days is not None and not can.payload_retention:
        output.note("this inbox keeps a body as long as its record: --payload-days changes nothing")
    if as_document:
        output.document({"payloads": purged.payloads, "records": purged.records})
    else:
        output.text(f"{purged.payloads} bodies and {purged.records} records removed")


async def _purge_all(opened: Inbox) -> tuple[Purged, Capabilities]:
    payloads = records = 0
    while True:
        step = await opened.purge(PURGE_STEP)
        payloads, records = payloads + step.payloads, records + step.records
        if not step.more:
            return Purged(payloads, records, more=False), opened.capabilities
