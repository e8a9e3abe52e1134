"""Finished events put where they belong by the verb that copies an inbox: handling a million of them takes long."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from itertools import islice

from benchmarks.bodies import waiting_events
from kirimhook import open_inbox
from kirimhook.receiver.model import EventState, StoredEvent

BATCH = 2_000
"""Events of one call; an inbox bounds how many may wait."""


def adopt_finished(inbox_url: str, label: str, count: int) -> None:
    """So many, that `label` makes unique."""

    async def run() -> None:
        inbox = open_inbox(inbox_url)
        await inbox.open()
        try:
            left = iter(finished_events(label, count))
            while batch := list(islice(left, BATCH)):
                await inbox.adopt(batch)
        finally:
            await inbox.close()

    asyncio.run(run())


def finished_events(label: str, count: int) -> Iterable[StoredEvent]:
    now = int(time.time() * 1000)
    for number, event in enumerate(waiting_events(count, label)):
        yield StoredEvent(
            number=number,
            event=event,
            state=EventState.DONE,
            attempts=1,
            due_at=None,
            finished_at=now,
            reason=None,
            has_payload=True,
        )
