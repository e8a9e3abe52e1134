"""Put back: finished events become due again, under the numbers that they have."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from kirimhook.backends.jetstream.desk import Desk
from kirimhook.backends.jetstream.looking import Looking
from kirimhook.backends.jetstream.names import lane_of
from kirimhook.backends.jetstream.partition.decide import Batch
from kirimhook.backends.jetstream.standing import Found
from kirimhook.backends.put_back_filter import states_meant
from kirimhook.receiver.inbox import Filter, PayloadPurged
from kirimhook.receiver.model import EventState

AT_ONCE = 256
"""Events of one record."""
Wanted = list[tuple[int, int | None, EventState]]


async def put_back(looking: Looking, where: Filter) -> int:
    """How many. Raises `PayloadPurged`, `InboxUnavailable`.

    First which, downwards; then each part of them upwards, so that a key's events come in their order.
    """
    named = bool(where.numbers)
    where = replace(where, states=states_meant(where))
    numbers = [found.stored.number async for found in looking.walk(where)]
    total = purged = 0
    for part in _parts(numbers[::-1]):
        found = [one async for one in looking.walk(replace(where, numbers=part))]
        whole = [one for one in found if one.stored.has_payload]
        purged += len(found) - len(whole)
        total += await _put_back(whole)
    if named and purged and not total:
        raise PayloadPurged("the body is past its retention, so there is nothing left to handle")
    return total


def _parts(numbers: list[int]) -> Iterator[tuple[int, ...]]:
    for start in range(0, len(numbers), AT_ONCE):
        yield tuple(numbers[start : start + AT_ONCE])


async def _put_back(found: list[Found]) -> int:
    """What changed since the look is left: somebody else was at it."""
    by_desk: dict[Desk, list[Found]] = {}
    for one in found:
        by_desk.setdefault(one.desk, []).append(one)
    return sum(await asyncio.gather(*(_at(desk, mine) for desk, mine in by_desk.items())))


async def _at(desk: Desk, found: list[Found]) -> int:
    wanted = [
        (one.stored.number, lane_of(one.stored.event.ordering_key), one.stored.state)
        for one in sorted(found, key=lambda each: each.stored.number)
    ]
    since = min(one.since for one in found)
    return sum(await desk.do(partial(_decide, wanted=wanted, since=since)))


def _decide(batch: Batch, wanted: Wanted, since: int) -> list[bool]:
    return batch.put_back(wanted, since)
