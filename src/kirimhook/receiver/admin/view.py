"""What a receiver adds to the pages of its admin port. Secrets appear by fingerprint only."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from kirimhook.admin.exposition import counter, gauge
from kirimhook.admin.problem import Problem, found
from kirimhook.admin.view import SENDERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric as Family

    from kirimhook.receiver.admin.report import Fleet, ProcessReport


class ReceiverView:
    """Of a `Fleet` of receivers."""

    def owns(self, metric: str) -> bool:
        return not metric.startswith(SENDERS)

    def problems(self, fleet: Fleet) -> list[Problem]:
        return found(fleet, _problems)

    def observed(self, fleet: Fleet) -> Iterator[Family]:
        yield from _inbox(fleet)
        yield from _secrets(fleet)
        if fleet.clock_offset is not None:
            about = "Seconds our clock is ahead, by signatures; absent while they agree with it."
            yield gauge("kirimhook_clock_offset_seconds", about, {"": fleet.clock_offset})

    def status(self, fleet: Fleet) -> dict[str, Any]:
        return {
            "inbox": _inbox_status(fleet),
            "secrets": [asdict(use) for use in fleet.active_secrets],
            "clock_offset_seconds": fleet.clock_offset,
        }

    def process_status(self, report: ProcessReport) -> dict[str, Any]:
        return {
            "receives": report.receives,
            "works": report.works,
            "worker_failed": report.worker_failed,
            "secrets": [asdict(use) for use in report.secrets],
            "secrets_problem": report.secrets_problem,
            "clock_offset_seconds": report.clock_offset,
        }


def _problems(report: ProcessReport) -> Iterator[Problem]:
    if report.receives and not report.secrets:
        yield Problem("no_secrets", f"no usable secret is loaded: {report.secrets_problem or 'the source gave none'}")
    if report.clock_offset is not None:
        side = "ahead of" if report.clock_offset > 0 else "behind"
        yield Problem("clock", f"our clock is {abs(report.clock_offset):.0f} s {side} the sender's, by its signatures")
    if report.worker_failed:
        yield Problem("worker", "the worker ended by a defect: events are stored but not handled; see the log")


def _oldest_waiting_seconds(fleet: Fleet) -> float | None:
    """Age of the oldest event that is not finished."""
    oldest = fleet.inbox.oldest_waiting if fleet.inbox is not None else None
    return None if oldest is None else max(0.0, round(fleet.now - oldest / 1000, 3))


def _inbox_status(fleet: Fleet) -> dict[str, Any] | None:
    if fleet.inbox is None:
        return None
    return {
        "states": dict(fleet.inbox.states),
        "paused": fleet.inbox.paused,
        "oldest_waiting_seconds": _oldest_waiting_seconds(fleet),
        "bytes": fleet.inbox.bytes,
    }


def _inbox(fleet: Fleet) -> Iterator[Family]:
    if fleet.inbox is None:
        return
    yield gauge("kirimhook_inbox_events", "Stored events by state.", fleet.inbox.states, "state")
    yield gauge("kirimhook_inbox_paused", "1 while an operator holds back all handling.", {"": fleet.inbox.paused})
    yield gauge("kirimhook_inbox_bytes", "Size of the storage.", {"": fleet.inbox.bytes})
    about = "Age of the oldest event that is not finished; 0 when there is none."
    yield gauge("kirimhook_inbox_oldest_waiting_seconds", about, {"": _oldest_waiting_seconds(fleet) or 0})


def _secrets(fleet: Fleet) -> Iterator[Family]:
    secrets = fleet.active_secrets
    last = {use.fingerprint: use.last_matched_at for use in secrets if use.last_matched_at is not None}
    about = "When an active secret last verified a delivery (unix seconds)."
    yield gauge("kirimhook_secret_last_matched_timestamp_seconds", about, last, "fingerprint")
    matches = {use.fingerprint: use.matches for use in secrets}
    yield counter("kirimhook_secret_matches_total", "Deliveries an active secret verified.", "fingerprint", matches)
