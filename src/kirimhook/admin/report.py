"""What any process says of itself, and what all processes of one command say together. Plain data."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from kirimhook.observe import Meter, Snapshot, merge

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_PROC = Path("/proc/self")


@dataclass(frozen=True, slots=True)
class Usage:
    """What the process takes of the machine; None where the system does not say."""

    cpu_seconds: float
    resident_bytes: int | None
    open_files: int | None


def usage() -> Usage:
    """Of this process, now."""
    resident = files = None
    with suppress(OSError, ValueError, IndexError):  # only Linux has /proc
        resident = int((_PROC / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        files = sum(1 for _ in (_PROC / "fd").iterdir())
    return Usage(time.process_time(), resident, files)


@dataclass(frozen=True, slots=True)
class ProcessReport:
    """One process. Times are unix seconds. A half adds fields; `replace` and `to_json` take them along."""

    pid: int
    started_at: float
    storage_problem: str | None
    usage: Usage
    snapshot: Snapshot

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """What `to_json` gave. Raises KeyError or TypeError for anything else."""
        return cls(**{**data, "usage": Usage(**data["usage"])})


@dataclass(frozen=True, slots=True)
class Totals:
    """What several processes counted. Those that ended count on, so that no counter goes back."""

    snapshot: Snapshot = field(default_factory=lambda: Meter().snapshot())
    cpu_seconds: float = 0.0

    def plus(self, reports: Iterable[Any]) -> Self:
        reports = list(reports)
        return replace(
            self,
            snapshot=merge([self.snapshot, *(report.snapshot for report in reports)]),
            cpu_seconds=self.cpu_seconds + sum(report.usage.cpu_seconds for report in reports),
        )

    def plus_ended(self, report: Any) -> Self:
        """With a process that is no more: it counted, but it holds and runs nothing now."""
        return self.plus([replace(report, snapshot={**report.snapshot, "gauges": {}})])


Report = TypeVar("Report", bound=ProcessReport)
Total = TypeVar("Total", bound=Totals)


@dataclass(frozen=True, slots=True)
class Fleet(Generic[Report, Total]):
    """All processes of one command, at one moment."""

    started_at: float
    now: float
    expected: int
    """How many there should be."""
    processes: tuple[Report, ...]
    ended: Total
    """What processes counted that are no more."""
    restarts: int = 0
    silent: int = 0
    """How many of `processes` did not answer in time: what they said last stands for them."""
    stopping: bool = False

    @property
    def totals(self) -> Total:
        return self.ended.plus(self.processes)


AnyFleet = Fleet[Any, Any]
