"""Lease, settle and renew: whatever waits goes to the database as one statement, in one transaction."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby, islice
from typing import Any, NamedTuple

from kirimhook.backends.postgres import settling
from kirimhook.backends.postgres.failures import Outage, unavailable
from kirimhook.backends.postgres.link import Connection, Link
from kirimhook.backends.postgres.rows import event_of
from kirimhook.receiver.inbox import InboxUnavailable
from kirimhook.receiver.model import Lease, LeasedEvent, Settlement

LONGEST_RUN = 64
MOST_BYTES = 32 * 1024 * 1024
"""Bodies handed out by one lease; at least one event always goes."""
SUSPECT_AFTER = 2
"""Leases that ran out before an event is handed out alone."""
NOTHING: list[Any] = []


class Settle(NamedTuple):
    settlements: Sequence[Settlement]
    answer: asyncio.Future[list[bool]]


class Renew(NamedTuple):
    heads: Sequence[tuple[int, int]]
    seconds: float
    answer: asyncio.Future[list[bool]]


class Take(NamedTuple):
    limit: int
    seconds: float
    answer: asyncio.Future[list[Lease]]


Wish = Settle | Renew | Take


class Desk:
    """Lives on one loop. While one statement runs, the wishes for the next gather."""

    def __init__(self, link: Link, schema: str, clock: Callable[[], float], committed: Callable[[], None]) -> None:
        self._link = link
        self._clock = clock
        self._committed = committed
        self._sql = f"SELECT * FROM {schema}.work({', '.join(f'${n}' for n in range(1, 18))})"
        self._wishes: list[Wish] = []
        self._serving: asyncio.Task[None] | None = None
        self._outage = Outage()

    async def settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        answer: asyncio.Future[list[bool]] = asyncio.get_running_loop().create_future()
        self._wish(Settle(settlements, answer))
        return await answer

    async def renew(self, heads: Sequence[tuple[int, int]], seconds: float) -> list[bool]:
        answer: asyncio.Future[list[bool]] = asyncio.get_running_loop().create_future()
        self._wish(Renew(heads, seconds, answer))
        return await answer

    async def lease(self, limit: int, seconds: float) -> list[Lease]:
        answer: asyncio.Future[list[Lease]] = asyncio.get_running_loop().create_future()
        self._wish(Take(limit, seconds, answer))
        return await answer

    async def drain(self) -> None:
        """Until nothing is under way."""
        if self._serving is not None:
            await asyncio.wait([self._serving])

    def _wish(self, wish: Wish) -> None:
        self._wishes.append(wish)
        if self._serving is None or self._serving.done():
            self._serving = asyncio.create_task(self._serve())

    async def _serve(self) -> None:
        while self._wishes:
            settles = [wish for wish in self._wishes if type(wish) is Settle]
            renews = [wish for wish in self._wishes if type(wish) is Renew]
            takes = [wish for wish in self._wishes if type(wish) is Take]
            take = takes[0] if takes else None
            self._wishes = list(takes[1:])  # one token for each lease
            try:
                held, renewed, leases = await self._work(settles, renews, take)
            except Exception as error:
                waiting: list[asyncio.Future[Any]] = [wish.answer for wish in settles]
                self._fail(waiting + [wish.answer for wish in renews] + [wish.answer for wish in takes[:1]], error)
                continue
            self._outage.ends()
            _tell([(wish.answer, len(wish.settlements)) for wish in settles], held)
            _tell([(wish.answer, len(wish.heads)) for wish in renews], renewed)
            if take is not None and not take.answer.done():
                take.answer.set_result(leases)
            if settles:
                self._committed()

    def _fail(self, answers: Iterable[asyncio.Future[Any]], error: Exception) -> None:
        if isinstance(error, InboxUnavailable):
            self._outage.begins(error)
        for answer in answers:
            if not answer.done():
                answer.set_exception(unavailable(error))

    async def _work(
        self, settles: Sequence[Settle], renews: Sequence[Renew], take: Take | None
    ) -> tuple[list[bool], list[bool], list[Lease]]:
        batches = settling.cut([one for wish in settles for one in wish.settlements])
        held: list[bool] = []
        for batch in batches[:-1]:
            held += (await self._call(batch, [], None))[0]
        last, renewed, leases = await self._call(batches[-1] if batches else [], renews, take)
        return held + last, renewed, leases

    async def _call(
        self, settlements: Sequence[Settlement], renews: Sequence[Renew], take: Take | None
    ) -> tuple[list[bool], list[bool], list[Lease]]:
        now = int(self._clock() * 1000)
        renewed = [(*head, now + int(wish.seconds * 1000)) for wish in renews for head in wish.heads]
        tokens, numbers, untils = zip(*renewed, strict=True) if renewed else (NOTHING,) * 3
        until = now + int(take.seconds * 1000) if take is not None else 0
        most = take.limit if take is not None else 0
        token = secrets.randbits(62) + 1
        limits = (until, token, most, LONGEST_RUN, MOST_BYTES, SUSPECT_AFTER)
        arguments = (now, *settling.columns(settlements), tokens, numbers, untils, *limits)

        async def work(connection: Connection) -> list[Any]:
            return await connection.fetch(self._sql, *arguments)

        first, *rows = await self._link.run(work)
        return first[0] or [], first[1] or [], _leases(token, rows)


def _leases(token: int, rows: Iterable[Any]) -> list[Lease]:
    leases = []
    for _, run in groupby(map(tuple, rows), lambda row: row[2]):
        events = list(run)
        taken = tuple(LeasedEvent(row[4], row[5], event_of(row[6:])) for row in events)
        leases.append(Lease(token, taken, events[0][3]))
    return leases


def _tell(answers: Iterable[tuple[asyncio.Future[list[bool]], int]], results: Sequence[bool]) -> None:
    """Each with so many of the results."""
    given = iter(results)
    for answer, size in answers:
        own = list(islice(given, size))
        if not answer.done():
            answer.set_result(own)
