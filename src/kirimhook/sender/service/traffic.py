"""What came of attempts, in numbers that people read: rates and quantiles."""

from __future__ import annotations

from typing import NamedTuple

from kirimhook.sender.latencies import quantile
from kirimhook.sender.store.minutes import MINUTE, Sums

KEPT_MINUTES = 48 * 60
"""How long what was summed up is kept."""


class Traffic(NamedTuple):
    """Attempts by what came of them; how long original deliveries took from publish to success, in milliseconds."""

    succeeded: int = 0
    failed: int = 0
    """Another attempt is due."""
    dead: int = 0
    p50_ms: float | None = None
    """Half of them took no longer; within 8 %. None where none succeeded."""
    p99_ms: float | None = None

    @property
    def attempts(self) -> int:
        return self.succeeded + self.failed + self.dead

    @property
    def success_rate(self) -> float | None:
        """Of attempts, from 0 to 1; None of none."""
        return _share(self.succeeded, self.attempts)

    @property
    def delivered_rate(self) -> float | None:
        """Of deliveries that ended by an attempt, from 0 to 1; None of none."""
        return _share(self.succeeded, self.succeeded + self.dead)


def traffic(sums: Sums) -> Traffic:
    times = sums.latencies
    return Traffic(sums.succeeded, sums.failed, sums.dead, quantile(times, 0.5), quantile(times, 0.99))


def last_minutes(now: int, count: int) -> range:
    """So many minutes since the epoch, to the one that `now` (ms) is in."""
    this = now // MINUTE
    return range(this - count + 1, this + 1)


def _share(part: int, of: int) -> float | None:
    return part / of if of else None
