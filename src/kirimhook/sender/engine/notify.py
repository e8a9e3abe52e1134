"""Tells the operator of dead letters and disabled subscriptions: the first at once, then one summary each interval.

What happened is told until it was taken once; told again only when it is not known whether it was.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial

from kirimhook.observe import Meter, Observer
from kirimhook.sender.database import Database
from kirimhook.sender.store import notices
from kirimhook.telling import LEASE, LONGEST, Notice, NotToldError, Teller, again_in, document

BATCH = 1000
"""Rows that are merged in one transaction."""
PASSES = 200
"""Such transactions before one telling, at most: what is left is told with the next."""


class Notifier:
    """Several may run on one database: each summary is told by one of them."""

    def __init__(  # noqa: PLR0913  # clock, pace and how it is seen are injected
        self,
        database: Database,
        teller: Teller,
        *,
        clock: Callable[[], float] = time.time,
        every: float = 60.0,
        poll: float = 1.0,
        observer: Observer | None = None,
        meter: Meter | None = None,
    ) -> None:
        """`every`: seconds from one telling to the next. `poll`: between two looks whether there is anything."""
        self._database = database
        self._teller = teller
        self._clock = clock
        self._every = every
        self._poll = poll
        self._observer = observer or Observer()
        self._counts = (meter or Meter()).counter("kirimhook_sender_notices_total")

    async def run(self) -> None:
        """Until cancelled."""
        failing = False
        while True:
            try:
                await self.tell()
                failing = False
            except Exception as error:  # storage; who delivers and who publishes meet it too
                if not failing:
                    self._observer.event("notices_not_read", reason=repr(error))
                failing = True
            await asyncio.sleep(self._poll)

    async def tell(self) -> int:
        """Tell what waits, if it may be told now; of how many things."""
        now = self._clock()
        longest = 2 * max(LEASE, LONGEST, self._every)  # twice: clocks are not quite alike
        at, latest = int(now * 1000), int((now + longest) * 1000)
        if not await self._database.read(partial(notices.ready, now=at, latest=latest)):
            return 0
        until = int((now + LEASE) * 1000)
        failures = await self._database.write(partial(notices.take_turn, now=at, latest=latest, until=until))
        if failures is None:
            return 0
        waiting = await self._gather()
        if not waiting:  # who was too slow before has taken it out
            await self._database.write(partial(notices.told, ids=[], until=until, next_at=0))
            return 0
        told = document("sender", list(waiting.values()), now, waiting)
        try:
            await self._teller.tell(told)
        except NotToldError as error:
            self._counts["failed"] += told["count"]
            self._observer.event("not_notified", notices=told["count"], reason=str(error))
            await self._put_off(until, failures)
            return 0
        next_at = int((self._clock() + self._every) * 1000)
        await self._database.write(partial(notices.told, ids=list(waiting), until=until, next_at=next_at))
        self._counts["told"] += told["count"]
        return int(told["count"])

    async def _gather(self) -> dict[str, Notice]:
        for _ in range(PASSES):
            gathered = await self._database.write(partial(notices.gather, most=BATCH))
            if not gathered.more:
                break
        return gathered.notices

    async def _put_off(self, until: int, failures: int) -> None:
        next_at = int((self._clock() + again_in(failures)) * 1000)
        await self._database.write(partial(notices.put_off, until=until, next_at=next_at, failures=failures + 1))
