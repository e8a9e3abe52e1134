"""A leased run while a worker has it, and what the handlers' loop reports about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from kirimhook.receiver.model import Lease, Settlement


class Run:
    """One lease, known to two threads: of its fields each is written by one of them, and read by the other."""

    __slots__ = ("deadline", "events", "head", "lost", "position", "suspect", "token", "told", "transacting")

    def __init__(self, lease: Lease, deadline: float) -> None:
        self.token = lease.token
        self.events = lease.run
        self.suspect = lease.suspect
        self.head = lease.run[0].number
        """Where the lease sits, as far as settled. Written by the control loop."""
        self.deadline = deadline
        """End of the lease on the monotonic clock. Written by the control loop."""
        self.position = 0
        """Of the next event to begin. Written by the handlers' loop."""
        self.lost = False
        """Another worker has it, or may have: begin no other event of it. Set by either, never cleared."""
        self.told = False
        """The log has heard that it is lost. Written by the control loop."""
        self.transacting = False
        """A transaction may be moving the lease on: a renewal that fails says nothing. Set by the handlers' loop
        before, cleared by the control loop once it has heard of the end."""


class Note(NamedTuple):
    """What the log says about an event once its settlement holds."""

    event: str
    fields: dict[str, Any]


class Finished(NamedTuple):
    """An event of a run ended. The last report of a run has no `settlement.then`, or no settlement at all."""

    run: Run
    settlement: Settlement | None
    """None: the run is given up, and its lease runs out if it is not lost already."""
    note: Note | None = None
    committed: bool = False
    """A transaction settled it already."""


class Flush(NamedTuple):
    """Call `settled` when everything reported before this is settled."""

    settled: Callable[[], None]


Report = Finished | Flush


def is_last(report: Report) -> bool:
    """Whether the worker is through with the run."""
    return type(report) is Finished and (report.settlement is None or report.settlement.then is None)
