"""Moments, durations, counts and sizes as people read them. Filters of every template.

A moment is an aware datetime or seconds since the epoch; milliseconds become one with `from_ms`.
"""

from __future__ import annotations

from datetime import UTC, datetime

Moment = datetime | float

_STEPS = ((60, 1, "s"), (3600, 60, "min"), (48 * 3600, 3600, "h"), (float("inf"), 86400, "d"))
_KIB = 1024
_HELD = "\N{NO-BREAK SPACE}"
"""Between a figure and its unit: a line does not break there."""


def as_datetime(moment: Moment) -> datetime:
    """The same moment, aware, in UTC. Raises ValueError for a naive datetime: whose zone would that be?"""
    if not isinstance(moment, datetime):
        return datetime.fromtimestamp(moment, UTC)
    if moment.tzinfo is None:
        raise ValueError(f"a moment without a zone: {moment!r}")
    return moment.astimezone(UTC)


def from_ms(milliseconds: float) -> datetime:
    """Milliseconds since the epoch as an aware datetime."""
    return as_datetime(milliseconds / 1000)


def iso(moment: Moment) -> str:
    """RFC 3339 in UTC with milliseconds: what the module of the pages reads."""
    return as_datetime(moment).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def exact(moment: Moment) -> str:
    """`2026-11-23 23:34:55.123 UTC`."""
    return iso(moment).replace("T", " ").replace("Z", " UTC")


def ago(moment: Moment, now: float) -> str:
    """`just now`, `12 s ago`, `in 3 min`, by the clock of the server: `now` is seconds since the epoch.

    Cut, not rounded: `59 min ago` until the hour is full. `static/page.js` says the same in the reader's browser.
    """
    behind = now - as_datetime(moment).timestamp()
    seconds = abs(behind)
    if seconds < 1:
        return "just now"
    _, size, unit = next(step for step in _STEPS if seconds < step[0])
    amount = f"{int(seconds // size)} {unit}"
    return f"{amount} ago" if behind > 0 else f"in {amount}"


def duration(seconds: float | None) -> str:
    """Seconds as `0.4 ms`, `12 ms`, `1.2 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`. A dash for None."""
    if seconds is None:
        return "–"
    if seconds < 0:
        return f"-{duration(-seconds)}"
    if seconds < 1:
        ms = seconds * 1000
        return f"{ms:.1f}{_HELD}ms" if 0 < ms < 9.95 else f"{min(ms, 999):.0f}{_HELD}ms"
    if seconds < 60:
        return f"{min(seconds, 59.9):.1f}".removesuffix(".0") + f"{_HELD}s"
    whole = int(seconds)
    if whole < 3600:
        return _two(whole, 60, "min", 1, "s")
    return _two(whole, 3600, "h", 60, "min") if whole < 48 * 3600 else _two(whole, 86400, "d", 3600, "h")


def _two(seconds: int, large: int, unit: str, small: int, smaller: str) -> str:
    """In two units, of `large` and `small` seconds; the smaller one left out where it is 0."""
    rest = seconds % large // small
    told = f"{seconds // large}{_HELD}{unit}"
    return f"{told} {rest}{_HELD}{smaller}" if rest else told


def duration_ms(milliseconds: float | None) -> str:
    """`duration` of milliseconds."""
    return duration(None if milliseconds is None else milliseconds / 1000)


def count(number: float | None) -> str:
    """`12 345`, in groups of three parted by a narrow space that does not break. A dash for None."""
    return "–" if number is None else f"{number:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def percent(share: float | None) -> str:
    """A share of 1 as `99.93 %`. Cut, so that only what is whole says `100 %`. A dash for None."""
    if share is None:
        return "–"
    return f"100{_HELD}%" if share >= 1 else f"{int(share * 10_000 + 1e-6) / 100:.2f}{_HELD}%"


def size(octets: int | None) -> str:
    """Bytes as `512 B`, `1.5 KiB`, `3.2 MiB`. A dash for None."""
    if octets is None:
        return "–"
    if octets < _KIB:
        return f"{octets}{_HELD}B"
    amount, units = octets / _KIB, iter(("KiB", "MiB", "GiB", "TiB"))
    unit = next(units)
    while amount >= 1023.95 and unit != "TiB":
        amount, unit = amount / _KIB, next(units)
    return f"{amount:.1f}{_HELD}{unit}"


def short(name: str, most: int = 16) -> str:
    """An id cut for a column: its kind and its last characters, which differ most. Whole where it is short."""
    if len(name) <= most:
        return name
    kind, underscore, _ = name.partition("_")
    head = kind + underscore if underscore and len(kind) <= 6 else name[:4]
    return f"{head}…{name[-8:]}"
