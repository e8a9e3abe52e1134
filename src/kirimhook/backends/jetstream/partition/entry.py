"""Rows of the queue table, as a state holds them."""

from __future__ import annotations

from typing import NamedTuple

from kirimhook.backends.jetstream.partition.record import Ended

SUSPECT_AFTER = 2
"""Leases that ran out before an event is handed out alone."""


class Entry(NamedTuple):
    """One unfinished event. Times are milliseconds since the epoch."""

    number: int
    lane: int | None
    due: int | None
    """When it is due, or its lease ends. None: behind another of its lane."""
    token: int | None
    attempts: int
    crashes: int
    reason: str | None

    def is_suspect(self) -> bool:
        """Were it leased now. One that still bears a token is due because its lease ran out."""
        return self.crashes + (self.token is not None) >= SUSPECT_AFTER

    def is_running(self, now: int) -> bool:
        return self.token is not None and self.due is not None and self.due > now


class Aside(NamedTuple):
    """What is, or is still to be, written aside about an event."""

    as_of: int
    """Sequence of the record that says so: what is aside as of later must not be overwritten."""
    ended: Ended | None
    """None: nothing is kept aside, the event was put back."""
