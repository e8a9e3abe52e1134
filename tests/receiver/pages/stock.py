"""Events that ended in a way, for the pages to show: put, leased and settled as a worker does it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from kirimhook.backends import open_inbox
from kirimhook.contract.events import dedupe_key
from kirimhook.receiver.inbox import Filter, Inbox
from kirimhook.receiver.model import EventState, InboundEvent, Outcome, StoredEvent
from kirimhook.testing.conformance.bench import settlements

SECONDS = 600.0


@contextlib.asynccontextmanager
async def opened(url: str) -> AsyncIterator[Inbox]:
    inbox = open_inbox(url)
    await inbox.open()
    try:
        yield inbox
    finally:
        await inbox.close()


async def ended(inbox: Inbox, outcome: Outcome, *events: InboundEvent) -> list[int]:
    """Store them, and end all that is due so; the numbers of what was ended, lowest first."""
    await inbox.put(events)
    return sorted(await end_all(inbox, outcome))


def named(event: InboundEvent) -> InboundEvent:
    """With the dedupe key that the contract gives it: it can be found by its id."""
    return event._replace(dedupe_key=dedupe_key(event.source, event.event_id, event.type, event.body))


async def end_all(inbox: Inbox, outcome: Outcome) -> list[int]:
    """End all that is due, in the order in which it was handed out; the numbers."""
    numbers: list[int] = []
    while leases := await inbox.lease(50, SECONDS):
        for lease in leases:
            numbers += [leased.number for leased in lease.run]
            assert all(await inbox.settle(settlements(lease, *[outcome] * len(lease.run))))
    return numbers


async def everything(inbox: Inbox, where: Filter | None = None) -> list[StoredEvent]:
    """Newest first."""
    page = await inbox.list(where or Filter(), 200)
    events = page.events
    while page.next_cursor is not None:
        page = await inbox.list(where or Filter(), 200, page.next_cursor)
        events = events + page.events
    return events


async def in_state(inbox: Inbox, state: EventState) -> list[int]:
    """Numbers, lowest first."""
    return [stored.number for stored in await everything(inbox, Filter(states=frozenset({state})))][::-1]
