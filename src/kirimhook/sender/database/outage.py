"""An outage of the database, told once when it begins and once when it ends."""

from __future__ import annotations

import contextlib

from kirimhook.observe import Observer

PASSING = frozenset({"closed", "deadlock", "locked", "overloaded", "serialization", "timeout"})
"""Of one call, not of the database; whoever asked tells of it."""


class Outage:
    """What is wrong with a log costs no caller anything."""

    def __init__(self) -> None:
        self._observer = Observer()
        self._reason: str | None = None

    def begins(self, reason: str, detail: str) -> None:
        if reason in PASSING or reason == self._reason:
            return
        self._reason = reason
        with contextlib.suppress(Exception):
            self._observer.event("database_failed", reason=reason, detail=detail)

    def ends(self) -> None:
        reason, self._reason = self._reason, None
        if reason is not None:
            with contextlib.suppress(Exception):
                self._observer.event("database_recovered", reason=reason)
