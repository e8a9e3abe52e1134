"""Whether our clock is off, judged by authentic signatures whose time is out of tolerance."""

from __future__ import annotations

from collections import deque
from statistics import median
from typing import NamedTuple

WINDOW = 300.0
"""Seconds that a sighting counts."""
LEAST = 3
"""So many different signatures it takes: one captured request, sent again and again, proves nothing."""
_KEPT = 32


class _Sighting(NamedTuple):
    at: float
    skew: float
    signature: int


class ClockCheck:
    """Remembers authentic signatures that were out of time, until one is in time again."""

    __slots__ = ("_outside",)

    def __init__(self) -> None:
        self._outside: deque[_Sighting] = deque(maxlen=_KEPT)

    def inside(self) -> None:
        """A signature was in time: the clock is right."""
        if self._outside:
            self._outside.clear()

    def outside(self, at: float, skew: float, signature: bytes) -> None:
        """An authentic signature was out of time; `skew` is our clock minus the sender's."""
        self._outside.append(_Sighting(at, skew, hash(signature)))

    def offset(self, now: float) -> float | None:
        """Seconds our clock is ahead (behind: negative), or None when nothing speaks against it."""
        recent = {seen.signature: seen.skew for seen in self._outside.copy() if 0 <= now - seen.at <= WINDOW}
        return median(recent.values()) if len(recent) >= LEAST else None
