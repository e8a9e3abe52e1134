"""`/status`: everything there is to know, as one JSON document. Secrets appear by fingerprint only."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from kirimhook.receiver.admin.readiness import problems

if TYPE_CHECKING:
    from kirimhook.receiver.admin.report import Fleet, ProcessReport


def status(fleet: Fleet, version: str) -> dict[str, Any]:
    """Times are unix seconds, durations seconds."""
    found = problems(fleet)
    totals = fleet.totals
    return {
        "version": version,
        "ready": not found,
        "problems": [problem._asdict() for problem in found],
        "started_at": fleet.started_at,
        "uptime_seconds": round(fleet.now - fleet.started_at, 3),
        "inbox": _inbox(fleet),
        "secrets": [asdict(use) for use in fleet.active_secrets],
        "clock_offset_seconds": fleet.clock_offset,
        "counters": totals.snapshot["counters"],
        "gauges": totals.snapshot["gauges"],
        "histograms": totals.snapshot["histograms"],
        "expected_processes": fleet.expected,
        "restarts": fleet.restarts,
        "silent_processes": fleet.silent,
        "processes": [_process(report, fleet.now) for report in fleet.processes],
    }


def oldest_waiting_seconds(fleet: Fleet) -> float | None:
    """Age of the oldest event that is not finished."""
    oldest = fleet.inbox.oldest_waiting if fleet.inbox is not None else None
    return None if oldest is None else max(0.0, round(fleet.now - oldest / 1000, 3))


def _inbox(fleet: Fleet) -> dict[str, Any] | None:
    if fleet.inbox is None:
        return None
    return {
        "states": dict(fleet.inbox.states),
        "paused": fleet.inbox.paused,
        "oldest_waiting_seconds": oldest_waiting_seconds(fleet),
        "bytes": fleet.inbox.bytes,
    }


def _process(report: ProcessReport, now: float) -> dict[str, Any]:
    return {
        "pid": report.pid,
        "started_at": report.started_at,
        "uptime_seconds": round(now - report.started_at, 3),
        "receives": report.receives,
        "works": report.works,
        "worker_failed": report.worker_failed,
        "storage_problem": report.storage_problem,
        "secrets": [asdict(use) for use in report.secrets],
        "secrets_problem": report.secrets_problem,
        "clock_offset_seconds": report.clock_offset,
        **asdict(report.usage),
        "counters": report.snapshot["counters"],
        "gauges": report.snapshot["gauges"],
    }
