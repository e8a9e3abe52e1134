"""`/status`: everything there is to know, as one JSON document."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kirimhook.admin.report import AnyFleet, ProcessReport
    from kirimhook.admin.view import View


def status(fleet: AnyFleet, version: str, view: View) -> dict[str, Any]:
    """Times are unix seconds, durations seconds. Only the half's own metrics are in it."""
    problems = view.problems(fleet)
    snapshot = _own(fleet.totals.snapshot, view)
    return {
        "version": version,
        "ready": not problems,
        "problems": [problem._asdict() for problem in problems],
        "started_at": fleet.started_at,
        "uptime_seconds": round(fleet.now - fleet.started_at, 3),
        **view.status(fleet),
        "counters": snapshot["counters"],
        "gauges": snapshot["gauges"],
        "histograms": snapshot["histograms"],
        "expected_processes": fleet.expected,
        "restarts": fleet.restarts,
        "silent_processes": fleet.silent,
        "processes": [_process(report, fleet.now, view) for report in fleet.processes],
    }


def _process(report: ProcessReport, now: float, view: View) -> dict[str, Any]:
    snapshot = _own(report.snapshot, view)
    return {
        "pid": report.pid,
        "started_at": report.started_at,
        "uptime_seconds": round(now - report.started_at, 3),
        "storage_problem": report.storage_problem,
        **view.process_status(report),
        **asdict(report.usage),
        "counters": snapshot["counters"],
        "gauges": snapshot["gauges"],
    }


def _own(snapshot: dict[str, Any], view: View) -> dict[str, Any]:
    return {
        kind: {name: value for name, value in values.items() if view.owns(name)} for kind, values in snapshot.items()
    }
