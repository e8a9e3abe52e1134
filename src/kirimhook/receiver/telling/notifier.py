"""Tells the operator of parked events, once each: the first at once, then one summary each interval.

Several may run on one inbox, in several processes. What has been told is a bookmark of the inbox; who moves it first
looks, and tells. A process that dies between telling and moving it costs a lease, and the same summary again.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from dataclasses import replace

from kirimhook.observe import Meter, Observer
from kirimhook.receiver.inbox import Filter, Inbox
from kirimhook.receiver.model import EventState
from kirimhook.receiver.telling.look import SETTLING, Look
from kirimhook.receiver.telling.progress import Progress, read, written
from kirimhook.telling import LEASE, LONGEST, NotToldError, Teller, again_in, document

BOOKMARK = "told"
PAGE, MOST_PAGE = 50, 5000
"""Events of one read: the first, and at most. On NATS each read costs a walk over all that is parked."""
PORTION = 50
"""Events that are looked at in one go: a millisecond or two."""
HEAVY = 8 * 1024 * 1024
"""Bytes of bodies in one read, about, at most."""
SELDOM = 60.0
"""Seconds: so often somebody counts what is parked, in case it was others who parked it."""
ANYWAY = 3600.0
"""Seconds: so often somebody looks, whatever the count is: one was parked, and one put back."""
MOST_WAIT = 5.0
"""Seconds: so often the bookmark is read while another process has the turn."""
_PARKED = Filter(states=frozenset({EventState.PARKED}))


class Notifier:
    """Runs on one event loop, over an inbox that is open, or will be."""

    def __init__(  # noqa: PLR0913  # clock, pace and how it is seen are injected
        self,
        inbox: Inbox,
        teller: Teller,
        *,
        clock: Callable[[], float] = time.time,
        every: float = 60.0,
        poll: float = 1.0,
        observer: Observer | None = None,
        meter: Meter | None = None,
    ) -> None:
        """`every`: seconds from one telling to the next. `poll`: between two looks at whether anything was parked.

        `meter`: that of the worker in this process, which counts what it parks.
        """
        self._inbox = inbox
        self._teller = teller
        self._clock = clock
        self._every = every
        self._poll = poll
        self._observer = observer or Observer()
        meter = meter or Meter()
        self._handled = meter.counter("kirimhook_handled_total")
        self._counts = meter.counter("kirimhook_notices_total")
        self._seen = 0
        self._changed: tuple[int, int] | None = None
        """When the first and the last was parked here of what nobody has looked for since."""
        self._asleep_until = 0
        self._counted_at = 0

    async def run(self) -> None:
        """Until cancelled."""
        failing = False
        while True:
            try:
                await self.tell()
                failing = False
            except Exception as error:  # the inbox, mostly: who receives and who works meet it too
                if not failing:
                    self._observer.event("notices_not_read", reason=repr(error))
                failing = True
            await asyncio.sleep(self._poll)

    async def tell(self) -> int:
        """Look and tell, if there is reason to and it is this process's turn; of how many events."""
        now = int(self._clock() * 1000)
        self._notice(now)
        if not self._is_due(now):
            return 0
        was = await self._inbox.bookmark(BOOKMARK)
        longest = 2 * max(LEASE, LONGEST, self._every)  # twice: clocks are not quite alike
        progress = read(was).trusted(now, int(longest * 1000))
        if progress.next_at > now:
            self._asleep_until = min(progress.next_at, now + int(MOST_WAIT * 1000))
            return 0
        if not await self._is_needed(progress, now):
            return 0
        return await self._look(was, progress, now)

    def _notice(self, now: int) -> None:
        """Whether this process parked anything since."""
        parked = self._handled.get("parked", 0)
        if parked != self._seen:
            self._seen = parked
            self._changed = (now if self._changed is None else self._changed[0], now)

    def _is_due(self, now: int) -> bool:
        if abs(self._asleep_until - now) <= MOST_WAIT * 1000 and now < self._asleep_until:
            return False
        if self._changed is not None:
            return not 0 <= now - self._changed[0] < SETTLING
        return not 0 <= now - self._counted_at < SELDOM * 1000

    async def _is_needed(self, progress: Progress, now: int) -> bool:
        """Whether there may be what nobody has told. What another process saw needs no second look."""
        self._counted_at = now
        if self._changed is not None:
            self._forget(progress.looked_at)
            return self._changed is not None
        if now - progress.looked_at >= ANYWAY * 1000:
            return True
        return await self._inbox.count(_PARKED) != progress.parked

    def _looked(self, look: Look, now: int) -> None:
        self._forget(now)
        if look.unsettled and self._changed is None:
            self._changed = (now, now)

    def _forget(self, looked_at: int) -> None:
        """What was parked long enough before a look has been seen by it."""
        if self._changed is not None and self._changed[1] + SETTLING <= looked_at:
            self._changed = None
        elif self._changed is not None and self._changed[0] + SETTLING <= looked_at:
            self._changed = (self._changed[1], self._changed[1])

    async def _look(self, was: str | None, progress: Progress, now: int) -> int:
        held = self._held(progress)
        if not await self._inbox.move_bookmark(BOOKMARK, was, held):
            return 0
        look = await self._read(progress, now)
        if not look.fresh:
            await self._inbox.move_bookmark(BOOKMARK, held, written(look.told()))
            self._looked(look, now)
            return 0
        again = self._held(progress)  # the look may have taken a while
        if not await self._inbox.move_bookmark(BOOKMARK, held, again):
            return 0
        return await self._tell(look, progress, again, now)

    def _held(self, progress: Progress) -> str:
        """The bookmark of who has the turn from now on."""
        until = int((self._clock() + LEASE) * 1000)
        return written(replace(progress, next_at=until, holder=secrets.token_hex(8)))

    async def _read(self, progress: Progress, now: int) -> Look:
        look = Look(progress, now)
        cursor, size = None, PAGE
        while True:
            page = await self._inbox.list(_PARKED, size, cursor)
            for start in range(0, len(page.events), PORTION):
                look.add(*page.events[start : start + PORTION])
                await asyncio.sleep(0)  # requests are answered on this loop
            cursor = page.next_cursor
            if cursor is None:
                return look
            size = next_size(size, sum(len(stored.event.body) for stored in page.events))

    async def _tell(self, look: Look, progress: Progress, held: str, now: int) -> int:
        try:
            await self._teller.tell(document("receiver", look.notices, now / 1000, look.names))
        except NotToldError as error:
            self._counts["failed"] += look.fresh
            self._observer.event("not_notified", notices=look.fresh, reason=str(error))
            later = int((self._clock() + again_in(progress.failures)) * 1000)
            failed = replace(progress, next_at=later, failures=progress.failures + 1, holder="")
            await self._inbox.move_bookmark(BOOKMARK, held, written(failed))
            return 0
        later = int((self._clock() + self._every) * 1000)
        await self._inbox.move_bookmark(BOOKMARK, held, written(replace(look.told(), next_at=later)))
        self._counts["told"] += look.fresh
        self._looked(look, now)
        return look.fresh


def next_size(size: int, weight: int) -> int:
    """How many events to read next, after so many of this weight (bytes): four times as many, where that is light."""
    light = HEAVY * size // max(weight, 1)
    return max(min(4 * size, light, MOST_PAGE), 1)
