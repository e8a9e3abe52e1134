"""How many bytes of bodies may be in memory at one time. No endpoint may take it all."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import NamedTuple

SHARE = 4
"""One endpoint gets at most this part of the whole. A single body always passes, as soon as nothing else does."""


class _Waiting(NamedTuple):
    who: str
    size: int
    admitted: asyncio.Future[None]


class Budget:
    """First come, first served, except that who has used up his share is passed over."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._used = 0
        self._by_whom: defaultdict[str, int] = defaultdict(int)
        self._waiting: list[_Waiting] = []

    @property
    def used(self) -> int:
        return self._used

    async def take(self, who: str, size: int) -> None:
        """Wait until there is room; give it back with `release`, unless this raises."""
        waiting = _Waiting(who, size, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._admit()
        try:
            await waiting.admitted
        except asyncio.CancelledError:
            if waiting.admitted.cancelled():
                self._admit()  # who was behind it need not wait for it
            else:
                self.release(who, size)
            raise

    def release(self, who: str, size: int) -> None:
        self._used -= size
        self._by_whom[who] -= size
        if not self._by_whom[who]:
            del self._by_whom[who]
        self._admit()

    def _admit(self) -> None:
        left = []
        full = False
        for waiting in self._waiting:
            if waiting.admitted.cancelled():
                continue
            share = self._by_whom.get(waiting.who, 0)
            if share and share + waiting.size > self._most // SHARE:
                left.append(waiting)
            elif full or (self._used and self._used + waiting.size > self._most):
                full = True  # what is behind does not overtake, or a large body would wait for ever
                left.append(waiting)
            else:
                self._used += waiting.size
                self._by_whom[waiting.who] += waiting.size
                waiting.admitted.set_result(None)
        self._waiting = left
