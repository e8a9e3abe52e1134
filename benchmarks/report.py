"""Medians, ratios and targets; as a table for people and as JSON for the record."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

from benchmarks.cases.pages import INBOX_PAGES, SENDERS_PAGES
from benchmarks.inboxes.storages import JETSTREAM, JETSTREAM_THREE, POSTGRESQL, SQLITE
from benchmarks.measure import Measurement
from benchmarks.sending.stock import DIALECTS

Runs = Mapping[str, Sequence[Measurement]]
Summary = dict[str, Any]


class Target(NamedTuple):
    """`field` of one case over that of another, and its bound. `at_most` tells which way round it is.

    Of `of_bare` and `of_sqlite` the median itself: each run, or round, has its own.
    """

    case: str
    against: str
    bound: float
    field: str = "per_second"
    at_most: bool = False


OWN_RATIOS = ("of_bare", "of_sqlite")
TARGETS = (
    Target("acks", "bare", 0.6),
    Target("drain", "acks", 1.5),
    Target("acks_finished", "acks", 0.9),
    Target("drain_finished", "drain", 0.9),
    Target("drain_blocked", "drain", 0.8),
    Target("handlers.block_async", "handlers.quiet", 2, "p99_ms", at_most=True),
    Target("handlers.block_plain", "handlers.quiet", 2, "p99_ms", at_most=True),
    *(Target(f"deliver.{dialect}.1", f"bare_posts.{dialect}.1", 0.55, "of_bare") for dialect in DIALECTS),
    *(Target(f"deliver.{dialect}.100", f"bare_posts.{dialect}.100", 0.5, "of_bare") for dialect in DIALECTS),
    *(Target(f"deliver_past.{dialect}", f"deliver.{dialect}.100", 0.9) for dialect in DIALECTS),
    *(Target(f"deliver_behind.{dialect}", f"deliver.{dialect}.100", 0.9) for dialect in DIALECTS),
    Target("isolation.two", "isolation.none", 1.3, "p99_ms", at_most=True),
    Target("isolation.third", "isolation.none", 2, "p99_ms", at_most=True),
    *(Target(f"deliver.{dialect}.1", case, 5) for dialect in DIALECTS for case in ("celery", "celery_tuned")),
    Target(f"acks.{POSTGRESQL}.1", f"acks.{SQLITE}.1", 0.8, "of_sqlite"),
    Target(f"acks.{JETSTREAM}.1", f"acks.{SQLITE}.1", 0.6, "of_sqlite"),
    Target(f"acks.{JETSTREAM_THREE}.1", f"acks.{SQLITE}.1", 0.35, "of_sqlite"),
    Target(f"drain.{POSTGRESQL}", f"acks.{POSTGRESQL}.1", 0.75),
    Target(f"drain_finished.{POSTGRESQL}", f"acks.{POSTGRESQL}.1", 0.75),
    Target(f"drain_finished.{POSTGRESQL}", f"drain.{POSTGRESQL}", 0.9),
    *(
        Target(f"pages.{dialect}.many.{page}", f"pages.{dialect}.few.{page}", 2, "p50_ms", at_most=True)
        for dialect in DIALECTS
        for page in SENDERS_PAGES
    ),
    *(
        Target(f"inbox.{storage}.many.{page}", f"inbox.{storage}.few.{page}", 2, "p50_ms", at_most=True)
        for storage in (SQLITE, POSTGRESQL)
        for page in INBOX_PAGES
    ),
)
"""Those that the project has set itself."""


def summarise(runs: Runs) -> Summary:
    """`cases`: every run and the medians; `targets`: those whose two cases were run."""
    medians = {name: _median(some) for name, some in runs.items()}
    return {
        "cases": {
            name: {"median": medians[name], "runs": [_shown(run) for run in some]} for name, some in runs.items()
        },
        "targets": [_judged(target, medians) for target in TARGETS if {target.case, target.against} <= medians.keys()],
    }


def _median(runs: Sequence[Measurement]) -> dict[str, float]:
    shown = [_shown(run) for run in runs]
    return {field: _rounded(statistics.median(run[field] for run in shown)) for field in shown[0]}


def _shown(run: Measurement) -> dict[str, float]:
    return {field: _rounded(value) for field, value in asdict(run).items() if value is not None}


def _rounded(value: float) -> float:
    return round(value, 3 if value < 100 else 0)


def _judged(target: Target, medians: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    ratio = medians[target.case][target.field]
    if target.field not in OWN_RATIOS:
        ratio /= medians[target.against][target.field]
    met = ratio <= target.bound if target.at_most else ratio >= target.bound
    return {**target._asdict(), "ratio": round(ratio, 3), "met": met}


def table(summary: Summary) -> str:
    """The summary, for a terminal."""
    heading = f"{'case (medians)':26} {'per second':>10} {'least–most':>17} {'p50 ms':>8} {'p99 ms':>8}"
    lines = [f"{heading} {'CPU µs':>7} {'servers':>8} {'receiver':>8} {'of SQLite':>9}"]
    lines += [_line(name, case) for name, case in summary["cases"].items()]
    lines += [_verdict(target) for target in summary["targets"]]
    return "\n".join(lines)


def _line(name: str, case: Mapping[str, Any]) -> str:
    median = case["median"]
    rates = [run["per_second"] for run in case["runs"]]
    spread = f"{min(rates):,.0f}–{max(rates):,.0f}"
    latencies = " ".join(_number(median, field, 2) for field in ("p50_ms", "p99_ms"))
    others = " ".join(_number(median, field, 1) for field in ("database_cpu_us", "receiver_cpu_us"))
    others = f"{median['cpu_us']:7.1f} {others} {_number(median, 'of_sqlite', 2)}"
    line = f"{name:26} {median['per_second']:10,.0f} {spread:>17} {latencies} {others}"
    return line.rstrip()


def _number(median: Mapping[str, float], field: str, digits: int) -> str:
    return f"{median[field]:8.{digits}f}" if field in median else " " * 8


def _verdict(target: Mapping[str, Any]) -> str:
    sign = "≤" if target["at_most"] else "≥"
    what = f"{target['case']} / {target['against']}" + (" p99" if target["field"] == "p99_ms" else "")
    verdict = "met   " if target["met"] else "MISSED"
    return f"{verdict} {what:44} {target['ratio']:6.2f} (target {sign} {target['bound']:g})"
