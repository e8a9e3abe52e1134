"""Points in time as people write and read them."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from kirimhook.cli.failure import misuse

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_RELATIVE = re.compile(r"(\d+(?:\.\d+)?)([smhdw])(?: ago)?")
_SECONDS = re.compile(r"\d{9,11}(?:\.\d+)?")


def moment(written: str, now: float) -> float:
    """Unix seconds of an ISO 8601 time (local without a zone), of `2h` (ago), or of unix seconds.

    Raises `Failure` for anything else.
    """
    words = written.strip()
    if found := _RELATIVE.fullmatch(words):
        return now - float(found[1]) * _UNITS[found[2]]
    if _SECONDS.fullmatch(words):
        return float(words)
    try:
        return datetime.fromisoformat(words).timestamp()
    except (ValueError, OverflowError, OSError):
        raise misuse(f"{written!r} is no time: write 2026-05-23T10:00:00Z, 2026-05-23, or 30m, 2h, 7d (ago)") from None


def stamp(ms: int | None) -> str | None:
    """ISO 8601 in UTC, to the millisecond."""
    if ms is None:
        return None
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def span(seconds: float) -> str:
    """As short as it is useful: `42 s`, `5 min`, `3 h`, `2 d`."""
    for limit, unit, name in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds / 86_400:.0f} d"
