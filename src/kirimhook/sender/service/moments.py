"""Milliseconds since the epoch, as they are stored, and moments in UTC, as they are shown. Exact both ways."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def moment(ms: int) -> datetime:
    return _EPOCH + ms * _MILLISECOND


def moment_or_none(ms: int | None) -> datetime | None:
    return None if ms is None else moment(ms)


def floor_ms(at: datetime) -> int:
    """The millisecond that the moment is in."""
    return (at - _EPOCH) // _MILLISECOND


def ceil_ms(at: datetime) -> int:
    """The first millisecond that is not before the moment."""
    return -((_EPOCH - at) // _MILLISECOND)
