"""What one process of a receiver says of itself, and what all of them say together. Plain data."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

from kirimhook.admin import report
from kirimhook.admin.report import Usage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Fleet", "InboxReport", "ProcessReport", "SecretUse", "Totals", "Usage"]


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
class ProcessReport(report.ProcessReport):
    """One process."""

    receives: bool
    """It answers webhooks; one that only works needs no secrets."""
    works: bool
    worker_failed: bool
    inbox: InboxReport | None
    """None when the storage could not be asked."""
    secrets: tuple[SecretUse, ...]
    secrets_problem: str | None
    """Why the source of secrets is not being followed; the last good list stays in force."""
    clock_offset: float | None
    """Seconds our clock is ahead, by the signatures; None while nothing says that it is off."""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
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
class Totals(report.Totals):
    """What several processes counted, their secrets included."""

    secrets: Mapping[str, SecretUse] = field(default_factory=dict)

    def plus(self, reports: Iterable[ProcessReport]) -> Self:
        reports = list(reports)
        secrets = dict(self.secrets)
        for use in (use for process in reports for use in process.secrets):
            secrets[use.fingerprint] = _together(secrets.get(use.fingerprint), use)
        return replace(report.Totals.plus(self, reports), secrets=secrets)


@dataclass(frozen=True, slots=True)
class Fleet(report.Fleet[ProcessReport, Totals]):
    """All processes of one `serve` or `work`, at one moment."""

    ended: Totals = field(default_factory=Totals)

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
