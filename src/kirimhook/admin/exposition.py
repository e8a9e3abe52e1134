"""`/metrics`: the meters of all processes, and what a half looks up, as Prometheus reads them.

Needs the extra `serve` (prometheus-client), when it is called.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

from kirimhook.observe import METRICS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from prometheus_client import Metric as Family

    from kirimhook.admin.report import AnyFleet
    from kirimhook.admin.view import View
    from kirimhook.observe import Metric, Snapshot

TOTAL = "_total"


def exposition(fleet: AnyFleet, version: str, view: View, accept: str = "") -> tuple[bytes, str]:
    """The page and its content type: Prometheus' text, or OpenMetrics for a client whose `accept` asks for it."""
    from prometheus_client import CollectorRegistry
    from prometheus_client.exposition import choose_encoder

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collected([*metered(fleet, view), *observed(fleet, version, view)]))
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


class _Collected:
    """prometheus-client's Collector over families that are there already."""

    def __init__(self, families: list[Family]) -> None:
        self._families = families

    def collect(self) -> Iterable[Family]:
        return self._families


def metered(fleet: AnyFleet, view: View) -> Iterator[Family]:
    """Every metric of the table in `observe` that is this half's, totalled."""
    snapshot = fleet.totals.snapshot
    for name, metric in METRICS.items():
        if view.owns(name):
            yield _family(name, metric, snapshot)


def _family(name: str, metric: Metric, snapshot: Snapshot) -> Family:
    from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily

    if metric.kind == "counter":
        return counter(name, metric.about, metric.label, snapshot["counters"].get(name, {}))
    if metric.kind == "gauge":
        return GaugeMetricFamily(name, metric.about, value=snapshot["gauges"].get(name, 0))
    histogram = snapshot["histograms"][name]
    edges = [*map(str, histogram["bounds"]), "+Inf"]
    buckets = list(zip(edges, accumulate(histogram["counts"]), strict=True))
    return HistogramMetricFamily(name, metric.about, buckets=buckets, sum_value=histogram["sum"])


def observed(fleet: AnyFleet, version: str, view: View) -> Iterator[Family]:
    """What is looked up when it is asked for."""
    yield gauge("kirimhook_info", "The version that runs.", {version: 1}, "version")
    yield gauge("kirimhook_ready", "1 when /readyz says so.", {"": not view.problems(fleet)})
    yield from view.observed(fleet)
    yield from _processes(fleet)


def _processes(fleet: AnyFleet) -> Iterator[Family]:
    live = fleet.processes
    yield gauge("kirimhook_processes", "Processes that serve now.", {"": len(live) - fleet.silent})
    yield gauge("kirimhook_processes_expected", "Processes that should serve.", {"": fleet.expected})
    yield counter(
        "kirimhook_process_restarts_total", "Processes that ended and were replaced.", "", {"": fleet.restarts}
    )
    yield gauge("process_start_time_seconds", "When this was started (unix seconds).", {"": fleet.started_at})
    yield counter("process_cpu_seconds_total", "CPU of all processes.", "", {"": fleet.totals.cpu_seconds})
    for name, about, values in (
        ("process_resident_memory_bytes", "Memory of all processes.", [report.usage.resident_bytes for report in live]),
        ("process_open_fds", "Open files of all processes.", [report.usage.open_files for report in live]),
    ):
        yield gauge(name, about, {"": sum(value or 0 for value in values)})


def counter(name: str, about: str, label: str, counts: Mapping[str, float]) -> Family:
    """By `label`, or by two with a blank between, or of one number where it is empty."""
    from prometheus_client.core import CounterMetricFamily

    labels = label.split()
    family = CounterMetricFamily(name.removesuffix(TOTAL), about, labels=labels)
    for value, count in sorted(counts.items()) if labels else [("", sum(counts.values()))]:
        family.add_metric(value.rsplit(" ", len(labels) - 1) if labels else [], count)
    return family


def gauge(name: str, about: str, values: Mapping[str, float], label: str = "") -> Family:
    """By `label`, or of one number where it is empty."""
    from prometheus_client.core import GaugeMetricFamily

    family = GaugeMetricFamily(name, about, labels=[label] if label else [])
    for value, number in values.items():
        family.add_metric([value] if label else [], float(number))
    return family
