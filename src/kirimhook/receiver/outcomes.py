"""What a handler may return instead of nothing: how handling ended is a value, not an exception."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

LONGEST = 366 * 86_400.0
"""Seconds: a retry or snooze further away than a year is a mistake in the handler."""


@dataclass(frozen=True, slots=True)
class Retry:
    """It failed; try again `after` seconds (None: after the schedule's next delay). Counts as an attempt.

    Its ordering key waits with it. After the last attempt the event is parked with `reason`.
    Raises ValueError for a time that is not from 0 to 366 days.
    """

    after: float | None = None
    reason: str = ""

    def __post_init__(self) -> None:
        if self.after is not None:
            _check_seconds("Retry(after=…)", self.after)


@dataclass(frozen=True, slots=True)
class Snooze:
    """Not yet; handle it again at an aware datetime, or in so many seconds. Does not count as an attempt.

    Its ordering key waits with it. Raises ValueError for a naive datetime, or seconds not from 0 to 366 days.
    """

    until: datetime | float

    def __post_init__(self) -> None:
        if not isinstance(self.until, datetime):
            _check_seconds("Snooze(until=…)", self.until)
        elif self.until.tzinfo is None:
            raise ValueError("Snooze(until=…) needs a datetime with a time zone, or seconds")


@dataclass(frozen=True, slots=True)
class Park:
    """Give up at once, with the reason for whoever looks at it. Events behind it go on."""

    reason: str


Returned = Retry | Snooze | Park | None


def _check_seconds(what: str, seconds: float) -> None:
    if not (isinstance(seconds, int | float) and math.isfinite(seconds) and 0 <= seconds <= LONGEST):
        raise ValueError(f"{what} takes seconds from 0 to {LONGEST:.0f}, not {seconds!r}")
