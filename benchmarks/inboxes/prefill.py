"""Finished events put where they belong by the verb that copies an inbox: handling a million of them takes long."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from itertools import islice

from benchmarks.bodies import waiting_events
from kirimhook import open_inbox
from kirimhook.receiver.model import EventState, InboundEvent, StoredEvent

BATCH = 2_000
"""Events of one call; an inbox bounds how many may wait."""
PARKED = "parked"
ATTEMPTS = 10
TRACEBACK = (
    "Traceback (most recent call last):\n" + 12 * "  File handlers.py, in received\n" + "ValueError: no such contact\n"
)


def adopt_finished(inbox_url: str, label: str, count: int) -> None:
    """So many, that `label` makes unique."""
    asyncio.run(_adopt(inbox_url, finished_events(label, count)))


def adopt_parked(inbox_url: str, count: int) -> None:
    """So many, each with a traceback. Those that are there already stay as they are."""
    asyncio.run(_adopt(inbox_url, parked_events(count)))


async def _adopt(inbox_url: str, events: Iterable[StoredEvent]) -> None:
    inbox = open_inbox(inbox_url)
    await inbox.open()
    try:
        left = iter(events)
        while batch := list(islice(left, BATCH)):
            await inbox.adopt(batch)
    finally:
        await inbox.close()


def finished_events(label: str, count: int) -> Iterable[StoredEvent]:
    for number, event in enumerate(waiting_events(count, label)):
        yield _finished(number, event, EventState.DONE, 1, None)


def parked_events(count: int) -> Iterable[StoredEvent]:
    for number, event in enumerate(waiting_events(count, PARKED)):
        yield _finished(number, event, EventState.PARKED, ATTEMPTS, TRACEBACK)


def parked_id(number: int) -> str:
    """The event id of the parked event of this number, from 0."""
    return f"{PARKED}-{number}"


def _finished(number: int, event: InboundEvent, state: EventState, attempts: int, reason: str | None) -> StoredEvent:
    now = int(time.time() * 1000)
    return StoredEvent(number, event, state, attempts, None, now, reason, has_payload=True)
