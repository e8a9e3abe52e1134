"""The list of events: filters in the URL, newest first, in a bounded time however much is stored."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, NamedTuple

from kirimhook.receiver.model import TRANSITIONS, EventState, Move, StoredEvent
from kirimhook.receiver.pages.chosen import FIELDS, Chosen, NotUnderstood, chosen
from kirimhook.receiver.pages.search import Found, look
from kirimhook.receiver.pages.standing import last_line
from kirimhook.receiver.pages.visit import Problem

if TYPE_CHECKING:
    from starlette.responses import Response

    from kirimhook.receiver.pages.visit import Visit

PAGE = 50
QUERY = ("type", "event_id", "received_after", "received_before")
_PLAIN = {EventState.UNHANDLED: "no handler matches its type", EventState.SKIPPED: "a test delivery"}
"""Reasons that need no telling in the inbox."""
NUMBER = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)


class Row(NamedTuple):
    stored: StoredEvent
    line: str
    """Of its reason, the one that says most."""
    can_be_put_back: bool


def row(stored: StoredEvent) -> Row:
    may = (stored.state, Move.PUT_BACK) in TRANSITIONS and stored.has_payload
    return Row(stored, last_line(stored.reason or stored.event.problem) or _PLAIN.get(stored.state, ""), may)


async def show(visit: Visit) -> Response:
    below = _below(visit)
    written = asked(visit)
    try:
        which = chosen(written)
        which.where(visit.now)
    except NotUnderstood as error:
        return await _not_understood(visit, written, error)

    async def load() -> dict[str, object]:
        found = await look(await visit.inbox(), which.where(visit.now), below, PAGE)
        return {**_values(which, found, below), "run": secrets.token_hex(8)}

    return await visit.show("events.html", load, regions=("events",) if _is_cheap(which, below) else ())


def asked(visit: Visit) -> list[tuple[str, str]]:
    """What the URL says of events."""
    return [("state", value) for value in visit.many("state")] + [
        (name, visit.query[name]) for name in QUERY if name in visit.query
    ]


def _values(which: Chosen, found: Found, below: int | None) -> dict[str, object]:
    return {
        "chosen": which,
        "meant": which.meant,
        "states": list(EventState),
        "written": which._asdict(),
        "errors": dict.fromkeys(FIELDS, ""),
        "is_understood": True,
        "rows": [row(stored) for stored in found.events],
        "first_url": None if below is None else f"events{which.query()}",
        "next_url": None if found.next is None else f"events{which.query(cursor=found.next)}",
        "went_to": found.next if found.next is not None and len(found.events) < PAGE else None,
    }


async def _not_understood(visit: Visit, written: list[tuple[str, str]], error: NotUnderstood) -> Response:
    """The same page, with what was typed, and what is wrong with it."""
    typed = dict(written)
    values = _values(Chosen(), Found([], None), None)
    values |= {"written": {name: typed.get(name, "") for name in QUERY}, "is_understood": False}
    values |= {"errors": {**dict.fromkeys(FIELDS, ""), error.field: str(error)}}
    return await visit.page("events.html", status=400, **values, run="")


def _below(visit: Visit) -> int | None:
    cursor = visit.query.get("cursor")
    if cursor is None:
        return None
    if not NUMBER.fullmatch(cursor):
        raise Problem(400, "This was not understood", "The cursor of this list is a number; start again without one.")
    return int(cursor)


def _is_cheap(which: Chosen, below: int | None) -> bool:
    """Whether one may look each second: the first page, unless the inbox has to be searched for it."""
    return below is None and not (which.type or which.received_after or which.received_before)
