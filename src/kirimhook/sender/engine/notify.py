"""Tells the operator of dead letters and disabled subscriptions: a command or a URL of his own.

Each is told until it was taken once; told again only when it is not known whether it was.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from functools import partial

from kirimhook.observe import Meter, Observer
from kirimhook.sender.database import Database
from kirimhook.sender.store import notices
from kirimhook.sender.store.notices import Notice
from kirimhook.telling import NotToldError, Teller

BATCH = 100
LEASE = 60.0
"""Seconds in which nobody else tells what one process is telling."""
LONGEST = 300.0
"""Seconds before it is tried again, at most; they double from 1."""
TRIES = 100
"""Then a notice is dropped, so that they do not pile up for ever."""


class Notifier:
    """Several may run on one database: each notice is told by one of them."""

    def __init__(
        self,
        database: Database,
        teller: Teller,
        *,
        clock: Callable[[], float] = time.time,
        poll: float = 1.0,
        observer: Observer | None = None,
        meter: Meter | None = None,
    ) -> None:
        """`poll`: seconds between two looks while there is nothing to tell."""
        self._database = database
        self._teller = teller
        self._clock = clock
        self._poll = poll
        self._observer = observer or Observer()
        self._told = (meter or Meter()).counter("kirimhook_sender_notices_total")

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                told = await self.tell()
            except Exception as error:  # storage; the engine's runner meets it too
                told = 0
                self._observer.event("notices_not_read", reason=repr(error))
            if not told:
                await asyncio.sleep(self._poll)

    async def tell(self) -> int:
        """Tell what is due now, at most 100; returns how many were taken."""
        now = self._clock()
        until = int((now + LEASE) * 1000)
        taken = await self._database.write(partial(notices.take, now=int(now * 1000), until=until, most=BATCH))
        if not taken:
            return 0
        try:
            await self._teller.tell({"notices": [{"id": notice.id, **json.loads(notice.notice)} for notice in taken]})
        except NotToldError as error:
            await self._failed(taken, str(error))
            return 0
        await self._database.write(partial(notices.remove, ids=[notice.id for notice in taken]))
        self._told["told"] += len(taken)
        return len(taken)

    async def _failed(self, taken: Sequence[Notice], why: str) -> None:
        self._told["failed"] += len(taken)
        dropped = [notice.id for notice in taken if notice.attempts + 1 >= TRIES]
        self._observer.event("not_notified", notices=len(taken), reason=why, dropped=len(dropped) or None)
        now = self._clock()
        later = [
            (int((now + min(2.0**notice.attempts, LONGEST)) * 1000), notice.attempts + 1, notice.id)
            for notice in taken
            if notice.attempts + 1 < TRIES
        ]
        await self._database.write(partial(notices.put_off, rows=later))
        if dropped:
            await self._database.write(partial(notices.remove, ids=dropped))
