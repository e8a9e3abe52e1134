"""A clock that moves when told."""

from __future__ import annotations

import time


class Clock:
    """Seconds since the epoch, like `time.time`, standing still between calls of `advance`."""

    def __init__(self, now: float | None = None) -> None:
        self.now = time.time() if now is None else now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Raises ValueError for a negative number: time does not go back."""
        if seconds < 0:
            raise ValueError(f"a clock advances by 0 or more seconds, not {seconds!r}")
        self.now += seconds
