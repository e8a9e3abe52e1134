"""Milliseconds since the epoch, as they are stored, and aware datetimes, as they are shown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import overload

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)


@overload
def shown(ms: int) -> datetime: ...
@overload
def shown(ms: None) -> None: ...
@overload
def shown(ms: int | None) -> datetime | None: ...
def shown(ms: int | None) -> datetime | None:
    return None if ms is None else _EPOCH + ms * _MS


def stored(moment: datetime) -> int:
    """Raises ValueError for one without an offset."""
    if moment.tzinfo is None:
        raise ValueError("a moment needs its offset from UTC")
    return (moment - _EPOCH) // _MS
