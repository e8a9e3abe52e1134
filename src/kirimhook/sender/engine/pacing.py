"""How many attempts to begin at once, and how many connections to open.

More under way than the loop keeps up with deliver nothing sooner, they only wait for each other. So no more than
`BURST` are begun that have not ended, and as many again at each tick at which it is the endpoints that are slow: the
loop keeps up, and few attempts have ended. Where many end and it keeps up nevertheless, more follow now and then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

BURST = 64
TICK = 0.01
"""Seconds."""
LATE = 0.015
"""Seconds by which a tick comes late when the loop is behind."""
FEW = 24
"""Attempts that end from one tick to the next: 2400 a second."""
SELDOM = 10
"""Ticks until more may begin although many end."""
WIDTH = 4
"""Attempts that an endpoint has under way at one time, to begin with …"""
STEP = 4
"""… and by how many that grows at once, while it has more to do."""
STORE = 64.0
REFILL = 100.0
"""Connections to be opened for that: so many at once, and so many a second. A TLS handshake costs several posts."""


class Pacing:
    """Lives on one event loop. Calls `more` when more may begin."""

    def __init__(self, more: Callable[[], None]) -> None:
        self._more = more
        self._round = 0
        self._fresh = 0
        self._under_way = 0
        self._ended = 0
        self._ticks = 0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_open(self) -> bool:
        return self._fresh < BURST

    def begin(self) -> int:
        """Give what this returns to `end`."""
        self._fresh += 1
        self._under_way += 1
        if self._timer is None:
            self._wait()
        return self._round

    def end(self, begun: int) -> None:
        self._under_way -= 1
        self._ended += 1
        if begun == self._round:
            self._fresh -= 1

    def _wait(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(TICK, self._tick, loop.time() + TICK)

    def _tick(self, due: float) -> None:
        self._timer = None
        keeps_up = asyncio.get_running_loop().time() - due < LATE
        self._ticks += 1
        if keeps_up and (self._ended < FEW or self._ticks >= SELDOM):
            self._round += 1
            self._fresh = self._ticks = 0
            self._more()
        self._ended = 0
        if self._under_way:
            self._wait()


class Growth:
    """How wide endpoints may grow, all together."""

    def __init__(self) -> None:
        self._left = STORE
        self._at = 0.0

    def more(self, wanted: int) -> int:
        """How many of the `wanted` are granted."""
        now = asyncio.get_running_loop().time()
        self._left = min(STORE, self._left + (now - self._at) * REFILL)
        self._at = now
        granted = min(wanted, STEP, int(self._left))
        self._left -= granted
        return granted
