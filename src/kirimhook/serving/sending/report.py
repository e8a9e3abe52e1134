"""What one process of a sender says of itself, and what all of them say together. Plain data."""

from __future__ import annotations

from dataclasses import dataclass, field

from kirimhook.admin import report


@dataclass(frozen=True, slots=True)
class SenderReport(report.ProcessReport):
    """One process."""

    serves: bool
    """It answers the API."""
    delivers: bool
    """It runs an engine."""
    engine_failed: bool
    queue: int | None
    """Open deliveries, counted up to a bound; None when the database could not be asked."""


@dataclass(frozen=True, slots=True)
class SenderFleet(report.Fleet[SenderReport, report.Totals]):
    """All processes of one `sender`, at one moment."""

    ended: report.Totals = field(default_factory=report.Totals)

    @property
    def queue(self) -> int | None:
        """All processes share it: what one of them saw is true for all."""
        return next((one.queue for one in self.processes if one.queue is not None), None)
