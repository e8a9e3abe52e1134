"""What one process says of itself, and what all processes of one `serve` say together. Plain data."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from kirimhook.observe import Meter, Snapshot, merge

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True, slots=True)
class SecretUse:
    """`last_matched_at` is unix seconds, or None while no delivery verified with it."""

    fingerprint: str
    last_matched_at: float | None
    matches: int


@dataclass(frozen=True, slots=True)
class InboxReport:
    """`oldest_waiting` is ms since the epoch, `bytes` the size of the storage."""

    states: Mapping[str, int]
    paused: bool
    oldest_waiting: int | None
    bytes: int


@dataclass(frozen=True, slots=True)
class Usage:
    """What the process takes of the machine; None where the system does not say."""

    cpu_seconds: float
    resident_bytes: int | None
    open_files: int | None


@dataclass(frozen=True, slots=True)
class ProcessReport:
    """One process. Times are unix seconds."""

    pid: int
    started_at: float
    receives: bool
    """It answers webhooks; one that only works needs no secrets."""
    works: bool
    worker_failed: bool
    storage_problem: str | None
    inbox: InboxReport | None
    """None when the storage could not be asked."""
    secrets: tuple[SecretUse, ...]
    secrets_problem: str | None
    """Why the source of secrets is not being followed; the last good list stays in force."""
    clock_offset: float | None
    """Seconds our clock is ahead, by the signatures; None while nothing says that it is off."""
    usage: Usage
    snapshot: Snapshot

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ProcessReport:
        """What `to_json` gave. Raises KeyError or TypeError for anything else."""
        inbox = data["inbox"]
        return cls(
            **{
                **data,
                "inbox": InboxReport(**inbox) if inbox is not None else None,
                "secrets": tuple(SecretUse(**use) for use in data["secrets"]),
                "usage": Usage(**data["usage"]),
            }
        )


@dataclass(frozen=True, slots=True)
class Totals:
    """What several processes counted. Those that ended count on, so that no counter goes back."""

    snapshot: Snapshot = field(default_factory=lambda: Meter().snapshot())
    secrets: Mapping[str, SecretUse] = field(default_factory=dict)
    cpu_seconds: float = 0.0

    def plus(self, reports: Iterable[ProcessReport]) -> Totals:
        reports = list(reports)
        secrets = dict(self.secrets)
        for use in (use for report in reports for use in report.secrets):
            secrets[use.fingerprint] = _together(secrets.get(use.fingerprint), use)
        return Totals(
            merge([self.snapshot, *(report.snapshot for report in reports)]),
            secrets,
            self.cpu_seconds + sum(report.usage.cpu_seconds for report in reports),
        )

    def plus_ended(self, report: ProcessReport) -> Totals:
        """With a process that is no more: it counted, but it holds and runs nothing now."""
        return self.plus([replace(report, snapshot={**report.snapshot, "gauges": {}})])


@dataclass(frozen=True, slots=True)
class Fleet:
    """All processes of one `serve`, at one moment."""

    started_at: float
    now: float
    expected: int
    """How many there should be."""
    processes: tuple[ProcessReport, ...]
    ended: Totals = field(default_factory=Totals)
    """What processes counted that are no more."""
    restarts: int = 0
    silent: int = 0
    """How many of `processes` did not answer in time: what they said last stands for them."""
    stopping: bool = False

    @property
    def totals(self) -> Totals:
        return self.ended.plus(self.processes)

    @property
    def inbox(self) -> InboxReport | None:
        """All processes share it: what one of them saw is true for all."""
        return next((report.inbox for report in self.processes if report.inbox is not None), None)

    @property
    def clock_offset(self) -> float | None:
        offsets = [report.clock_offset for report in self.processes if report.clock_offset is not None]
        return max(offsets, key=abs, default=None)

    @property
    def active_secrets(self) -> tuple[SecretUse, ...]:
        """The secrets in force now, with what all processes, past ones too, matched with them."""
        known = self.totals.secrets
        active = {use.fingerprint: None for report in self.processes for use in report.secrets}
        return tuple(known[fingerprint] for fingerprint in active)


def _together(one: SecretUse | None, other: SecretUse) -> SecretUse:
    if one is None:
        return other
    seen = [at for at in (one.last_matched_at, other.last_matched_at) if at is not None]
    return SecretUse(one.fingerprint, max(seen, default=None), one.matches + other.matches)
