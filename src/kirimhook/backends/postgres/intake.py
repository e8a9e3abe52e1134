"""Put: all that waits goes into the database with one statement, and its commit is the answer to all of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from kirimhook.backends.arrivals import Arrivals, Put, answer
from kirimhook.backends.postgres.failures import Outage, unavailable
from kirimhook.backends.postgres.link import Connection, Link
from kirimhook.backends.postgres.rows import Columns
from kirimhook.receiver.inbox import InboxUnavailable
from kirimhook.receiver.model import InboundEvent, Receipt

MOST = 512
"""Events of one statement, but for a single call with more."""


class Intake:
    """Lives on one loop, but for `stir`. Nobody waits for a timer: while one batch commits, the next gathers."""

    def __init__(self, link: Link, schema: str, clock: Callable[[], float], committed: Callable[[], None]) -> None:
        self._link = link
        self._clock = clock
        self._committed = committed
        self._sql = f"SELECT place, is_parked FROM {schema}.put({', '.join(f'${n}' for n in range(1, 15))})"
        self._stirred = asyncio.Event()
        self._turn = asyncio.Lock()
        self._outage = Outage()
        self.stir = self._stirred.set

    async def run(self, arrivals: Arrivals) -> None:
        """Until cancelled."""
        while True:
            await self._stirred.wait()
            self._stirred.clear()
            await self.drain(arrivals)

    async def drain(self, arrivals: Arrivals) -> None:
        """Until nothing waits and nothing is under way."""
        async with self._turn:
            while puts := arrivals.take(MOST):
                awaited = [put for put in puts if not put.future.done()]
                if awaited:
                    await self._commit(awaited)

    async def _commit(self, puts: Sequence[Put]) -> None:
        try:
            receipts = await self._put([event for put in puts for event in put.events])
        except InboxUnavailable as error:
            self._outage.begins(error)
            answer([(put, unavailable(error)) for put in puts])
        except Exception as error:  # something about one of them: whoever brought it, the others shall not suffer
            if len(puts) == 1:
                answer([(puts[0], unavailable(error))])
                return
            for put in puts:
                await self._commit([put])
        else:
            self._outage.ends()
            given = iter(receipts)
            answer([(put, [next(given) for _ in put.events]) for put in puts])
            self._committed()

    async def _put(self, events: Sequence[InboundEvent]) -> list[Receipt]:
        columns = Columns(events)
        now = int(self._clock() * 1000)
        arguments = (now, *columns.of_events, columns.bodies, columns.lanes, dues(columns.lanes, now), columns.others)

        async def put(connection: Connection) -> list[tuple[int, bool]]:
            rows: list[tuple[int, bool]] = await connection.fetch(self._sql, *arguments)  # type: ignore[assignment]  # a record is one
            return rows

        receipts = [Receipt.FRESH] * len(events)
        for place, is_parked in await self._link.run(put):
            receipts[place - 1] = Receipt.DUPLICATE_PARKED if is_parked else Receipt.DUPLICATE
        return receipts


def dues(lanes: Sequence[int | None], now: int) -> list[int | None]:
    """Of each lane's events only the first one: the others are behind it, whatever the lane holds already."""
    seen: set[int | None] = set()
    given: list[int | None] = []
    for lane in lanes:
        given.append(None if lane in seen else now)
        if lane is not None:
            seen.add(lane)
    return given
