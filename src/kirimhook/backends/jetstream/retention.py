"""Purge: what is past its retention goes, in bounded batches; what is unfinished or parked stays.

A body lives as long as its record here. The walk goes up in commit order, which is arrival order, and ends at the
first event that is too young.
"""

from __future__ import annotations

import asyncio
from functools import partial

from kirimhook.backends.jetstream.desk import Desk
from kirimhook.backends.jetstream.desks import Desks
from kirimhook.backends.jetstream.looking import MOST_BYTES
from kirimhook.backends.jetstream.partition.decide import Batch
from kirimhook.backends.jetstream.place import Place
from kirimhook.backends.jetstream.standing import Found, Standing
from kirimhook.receiver.inbox import Purged
from kirimhook.receiver.model import EventState

DAY = 24 * 3600 * 1000
ERASABLE = frozenset({EventState.DONE, EventState.UNHANDLED, EventState.SKIPPED})


class Purger:
    """Of one handle. Remembers how far the walk has come, so that what stays is not looked at again every time."""

    def __init__(self, place: Place, desks: Desks) -> None:
        self._place = place
        self._desks = desks
        self._standing = Standing(place, desks)
        self._payload_age = int(place.settings.payload_days * DAY)
        self._record_age = int(place.settings.dedupe_days * DAY)
        self._from = 1

    async def purge(self, limit: int) -> Purged:
        """One batch. What is removed is deleted when this returns, or, if servers fail, after a while."""
        await self._desks.look()
        link, names = self._place.link, self._place.names
        now = self._place.now()
        messages = await link.read(names.events, names.all_events(), self._from, limit, MOST_BYTES)
        found = await self._standing.of(messages)
        horizon = now - self._record_age
        young = next((place for place, one in enumerate(found) if one.stored.event.received_at >= horizon), None)
        removed = await self._remove([one for one in found[:young] if self._is_old(one, now)])
        more = bool(messages) and young is None and messages[-1].sequence < self._desks.tip
        self._from = messages[-1].sequence + 1 if more else 1
        return Purged(0, removed, more)

    def _is_old(self, found: Found, now: int) -> bool:
        """Its body has its own time too: an event can be finished late. Of a done one nobody knows when it was."""
        stored = found.stored
        ended = stored.finished_at
        return stored.state in ERASABLE and (ended is None or ended < now - self._payload_age)

    async def _remove(self, found: list[Found]) -> int:
        by_desk: dict[Desk, list[Found]] = {}
        for one in found:
            by_desk.setdefault(one.desk, []).append(one)
        return sum(await asyncio.gather(*(_at(desk, mine) for desk, mine in by_desk.items())))


async def _at(desk: Desk, found: list[Found]) -> int:
    wanted = [(one.sequence, one.stored.state) for one in found]
    since = min(one.since for one in found)
    return sum(await desk.do(partial(_decide, wanted=wanted, since=since)))


def _decide(batch: Batch, wanted: list[tuple[int, EventState]], since: int) -> list[bool]:
    return batch.remove(wanted, since)
