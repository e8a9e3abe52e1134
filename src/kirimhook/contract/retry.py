"""When to try again, and when not to. Contract section 4.

Eight attempts over about 31 hours. What the endpoint asks for with `Retry-After` is never undercut.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

SCHEDULE = (0, 10, 30, 120, 600, 3600, 21600, 86400)
"""Seconds to wait before each attempt, the first one first."""
MAX_ATTEMPTS = len(SCHEDULE)
JITTER = 0.2
MAX_RETRY_AFTER = 86400.0
"""Seconds: an endpoint that asks for more is asked again after a day."""

_SECONDS = re.compile(r"\d+(?:\.\d+)?", re.ASCII)
_TRANSIENT = (408, 429)
_ASKS_TO_WAIT = (408, 429, 503)
_GONE = 410

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_TIME = r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)"
_DATES = tuple(
    re.compile(pattern, re.ASCII | re.IGNORECASE)
    for pattern in (
        rf"[a-z]{{3}}, (?P<day>\d\d) (?P<month>[a-z]{{3}}) (?P<year>\d{{4}}) {_TIME} GMT",
        rf"[a-z]{{6,9}}, (?P<day>\d\d)-(?P<month>[a-z]{{3}})-(?P<year>\d\d) {_TIME} GMT",
        rf"[a-z]{{3}} (?P<month>[a-z]{{3}}) (?P<day>[\d ]\d) {_TIME} (?P<year>\d{{4}})",
    )
)


@dataclass(frozen=True, slots=True)
class Succeeded:
    """Any 2xx."""


@dataclass(frozen=True, slots=True)
class RetryLater:
    """Failed, to be tried again after the schedule's delay, yet not before `at_least` seconds."""

    at_least: float = 0.0


@dataclass(frozen=True, slots=True)
class Dead:
    """Failed for good: another attempt would get the same answer."""


@dataclass(frozen=True, slots=True)
class Gone:
    """Failed for good, and the endpoint wants nothing any more: disable its subscription."""


Verdict = Succeeded | RetryLater | Dead | Gone


def jittered(delay: float, draw: float) -> float:
    """The delay moved by up to 20 % either way, for a draw from [0, 1): 0 is the earliest."""
    return delay * (1 - JITTER + 2 * JITTER * draw)


def delay_before(
    attempt: int, draw: float, at_least: float = 0.0, schedule: Sequence[float] = SCHEDULE
) -> float | None:
    """Seconds between the end of the previous attempt and this one (1-based), or None past the schedule's last.

    Raises ValueError for an attempt below 1.
    """
    if attempt < 1:
        raise ValueError("attempts are counted from 1")
    if attempt > len(schedule):
        return None
    return max(jittered(schedule[attempt - 1], draw), at_least)


def classify(status: int | None, retry_after_value: str | None = None, now: float = 0.0) -> Verdict:
    """What an attempt came to: by the answer's status, or None where no answer came (network, TLS, timeout).

    `retry_after_value` is the answer's `Retry-After`, as it came; `now` in unix seconds.
    """
    if status is None:
        return RetryLater()
    if 200 <= status <= 299:
        return Succeeded()
    if status == _GONE:
        return Gone()
    if 400 <= status <= 499 and status not in _TRANSIENT:
        return Dead()
    asked = retry_after(retry_after_value, now) if status in _ASKS_TO_WAIT else None
    return RetryLater(asked or 0.0)


def retry_after(value: str | None, now: float) -> float | None:
    """Seconds to wait from `now` (unix seconds), between 0 and 86400; None where the value says nothing.

    Takes seconds, with or without a fraction, and the three HTTP dates of RFC 9110 (5.6.7). Never raises.
    """
    text = (value or "").strip(" \t")
    if _SECONDS.fullmatch(text):
        return min(float(text), MAX_RETRY_AFTER)
    due = _http_date(text, now)
    return None if due is None else min(max(due - now, 0.0), MAX_RETRY_AFTER)


def _http_date(text: str, now: float) -> float | None:
    for pattern in _DATES:
        if match := pattern.fullmatch(text):
            return _timestamp(match.groupdict(), now)
    return None


def _timestamp(part: dict[str, str], now: float) -> float | None:
    try:
        year = _full_year(int(part["year"]), now) if len(part["year"]) == 2 else int(part["year"])
        month = 1 + _MONTHS.index(part["month"].lower())
        clock = (int(part["hour"]), int(part["minute"]), min(int(part["second"]), 59))  # 60: a leap second
        return datetime(year, month, int(part["day"]), *clock, tzinfo=UTC).timestamp()
    except ValueError:
        return None


def _full_year(two_digits: int, now: float) -> int:
    """The year nearest to now that ends in these digits: more than 50 years ahead means the past."""
    this_year = datetime.fromtimestamp(now, UTC).year
    year = this_year - this_year % 100 + two_digits
    return year - 100 if year > this_year + 50 else year
