"""One event: where it stands and what happens next, why, what was sent; and putting it back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response

from kirimhook.pages import bodies
from kirimhook.receiver.inbox import Filter, PayloadPurged
from kirimhook.receiver.model import FINISHED, EventState, StoredEvent
from kirimhook.receiver.pages.chosen import Chosen
from kirimhook.receiver.pages.events import NUMBER
from kirimhook.receiver.pages.standing import NO_BODY, standing
from kirimhook.receiver.pages.visit import Problem

if TYPE_CHECKING:
    from kirimhook.receiver.inbox import Inbox
    from kirimhook.receiver.pages.visit import Visit

MOST_BEHIND = 5
"""Events that wait behind this one, shown by number."""


async def show(visit: Visit) -> Response:
    number = _number(visit)

    async def load() -> dict[str, object]:
        inbox = await visit.inbox()
        stored = await _stored(inbox, number)
        paused = stored.state is EventState.WAITING and (await inbox.stats()).paused
        details = inbox.capabilities.completion_details
        same = Chosen(states=frozenset(EventState), event_id=stored.event.event_id)
        return {
            "stored": stored,
            "event": stored.event,
            "standing": standing(stored, int(visit.now * 1000), paused=paused, details=details),
            "body": bodies.shown(stored.event.body) if stored.has_payload else None,
            "reason": bodies.visible(stored.reason) if stored.reason else None,
            "same_url": f"events{same.query()}" if stored.event.event_id else None,
            "details": details,
            **await _of_its_key(inbox, stored),
        }

    return await visit.show("event.html", load, regions=("act", "standing"))


async def body(visit: Visit) -> Response:
    """Byte for byte, to be kept as a file: no browser shows it."""
    inbox = await visit.inbox()
    stored = await _stored(inbox, _number(visit))
    if not stored.has_payload:
        raise Problem(404, "No body", "The body of this event is past its retention, or was erased.")
    name = f"event-{stored.number}.json" if stored.event.problem is None else f"event-{stored.number}.bin"
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return Response(stored.event.body, headers=headers, media_type="text/plain; charset=utf-8")


async def put_back(visit: Visit) -> Response:
    """One. Where it is due or leased already, as after a form sent twice, there is nothing to do."""
    visit.form().allow("csrf")
    number = _number(visit)
    inbox = await visit.inbox()
    await _stored(inbox, number)
    try:
        done = await inbox.put_back(Filter(states=FINISHED, numbers=(number,)))
    except PayloadPurged:
        raise Problem(409, "It cannot be put back", NO_BODY) from None
    if done:
        visit.parts.observer.event("event_put_back", client=visit.client, number=number)
    return visit.go(f"/events/{number}")


async def _of_its_key(inbox: Inbox, stored: StoredEvent) -> dict[str, object]:
    """What this event holds back, and what holds it back: the unfinished ones of its ordering key."""
    key = stored.event.ordering_key
    if key is None or stored.state in FINISHED:
        return {"ahead": None, "behind": [], "more_behind": False}
    unfinished = frozenset({EventState.WAITING, EventState.RUNNING})
    mine = Filter(states=unfinished, ordering_key=key)
    found = await inbox.list(mine, MOST_BEHIND + 1, bodies=False)
    numbers = sorted(one.number for one in found.events)
    return {
        "ahead": next((number for number in numbers if number < stored.number), None),
        "behind": [number for number in numbers if number > stored.number],
        "more_behind": found.next_cursor is not None,
    }


def _number(visit: Visit) -> int:
    written = visit.param("number")
    if not NUMBER.fullmatch(written):
        raise Problem(404, "No such event", "An event has a number; this is none.")
    return int(written)


async def _stored(inbox: Inbox, number: int) -> StoredEvent:
    stored = await inbox.get(number)
    if stored is None:
        text = f"The inbox holds no event {number}. Perhaps its record is past its retention."
        raise Problem(404, "No such event", text)
    return stored
