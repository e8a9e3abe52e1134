"""`/metrics`: the meters of all processes, the inbox and the secrets, as Prometheus reads them.

Needs the extra `serve` (prometheus-client), when it is called.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

from kirimhook.observe import METRICS
from kirimhook.receiver.admin.readiness import problems
from kirimhook.receiver.admin.status import oldest_waiting_seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from prometheus_client import Metric as Family

    from kirimhook.observe import Metric, Snapshot
    from kirimhook.receiver.admin.report import Fleet

TOTAL = "_total"


def exposition(fleet: Fleet, version: str, accept: str = "") -> tuple[bytes, str]:
    """The page and its content type: Prometheus' text, or OpenMetrics for a client whose `accept` asks for it."""
    from prometheus_client import CollectorRegistry
    from prometheus_client.exposition import choose_encoder

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collected([*metered(fleet), *observed(fleet, version)]))
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


class _Collected:
    """prometheus-client's Collector over families that are there already."""

    def __init__(self, families: list[Family]) -> None:
        self._families = families

    def collect(self) -> Iterable[Family]:
        return self._families


def metered(fleet: Fleet) -> Iterator[Family]:
    """Every metric of the table in `observe`, totalled."""
    snapshot = fleet.totals.snapshot
    for name, metric in METRICS.items():
        yield _family(name, metric, snapshot)


def _family(name: str, metric: Metric, snapshot: Snapshot) -> Family:
    from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily

    if metric.kind == "counter":
        return _counter(name, metric.about, metric.label, snapshot["counters"].get(name, {}))
    if metric.kind == "gauge":
        return GaugeMetricFamily(name, metric.about, value=snapshot["gauges"].get(name, 0))
    histogram = snapshot["histograms"][name]
    edges = [*map(str, histogram["bounds"]), "+Inf"]
    buckets = list(zip(edges, accumulate(histogram["counts"]), strict=True))
    return HistogramMetricFamily(name, metric.about, buckets=buckets, sum_value=histogram["sum"])


def _counter(name: str, about: str, label: str, counts: Mapping[str, float]) -> Family:
    from prometheus_client.core import CounterMetricFamily

    family = CounterMetricFamily(name.removesuffix(TOTAL), about, labels=[label] if label else [])
    for value, count in sorted(counts.items()) if label else [("", sum(counts.values()))]:
        family.add_metric([value] if label else [], count)
    return family


def observed(fleet: Fleet, version: str) -> Iterator[Family]:
    """What is looked up when it is asked for."""
    yield _gauge("kirimhook_info", "The version that runs.", {version: 1}, "version")
    yield _gauge("kirimhook_ready", "1 when /readyz says so.", {"": not problems(fleet)})
    yield from _inbox(fleet)
    yield from _secrets(fleet)
    if fleet.clock_offset is not None:
        about = "Seconds our clock is ahead, by signatures; absent while they agree with it."
        yield _gauge("kirimhook_clock_offset_seconds", about, {"": fleet.clock_offset})
    yield from _processes(fleet)


def _inbox(fleet: Fleet) -> Iterator[Family]:
    if fleet.inbox is None:
        return
    yield _gauge("kirimhook_inbox_events", "Stored events by state.", fleet.inbox.states, "state")
    yield _gauge("kirimhook_inbox_paused", "1 while an operator holds back all handling.", {"": fleet.inbox.paused})
    yield _gauge("kirimhook_inbox_bytes", "Size of the storage.", {"": fleet.inbox.bytes})
    about = "Age of the oldest event that is not finished; 0 when there is none."
    yield _gauge("kirimhook_inbox_oldest_waiting_seconds", about, {"": oldest_waiting_seconds(fleet) or 0})


def _secrets(fleet: Fleet) -> Iterator[Family]:
    secrets = fleet.active_secrets
    last = {use.fingerprint: use.last_matched_at for use in secrets if use.last_matched_at is not None}
    about = "When an active secret last verified a delivery (unix seconds)."
    yield _gauge("kirimhook_secret_last_matched_timestamp_seconds", about, last, "fingerprint")
    matches = {use.fingerprint: use.matches for use in secrets}
    yield _counter("kirimhook_secret_matches_total", "Deliveries an active secret verified.", "fingerprint", matches)


def _processes(fleet: Fleet) -> Iterator[Family]:
    live = fleet.processes
    yield _gauge("kirimhook_processes", "Processes that serve now.", {"": len(live) - fleet.silent})
    yield _gauge("kirimhook_processes_expected", "Processes that should serve.", {"": fleet.expected})
    yield _counter(
        "kirimhook_process_restarts_total", "Processes that ended and were replaced.", "", {"": fleet.restarts}
    )
    yield _gauge("process_start_time_seconds", "When this was started (unix seconds).", {"": fleet.started_at})
    yield _counter("process_cpu_seconds_total", "CPU of all processes.", "", {"": fleet.totals.cpu_seconds})
    for name, about, values in (
        ("process_resident_memory_bytes", "Memory of all processes.", [report.usage.resident_bytes for report in live]),
        ("process_open_fds", "Open files of all processes.", [report.usage.open_files for report in live]),
    ):
        yield _gauge(name, about, {"": sum(value or 0 for value in values)})


def _gauge(name: str, about: str, values: Mapping[str, float], label: str = "") -> Family:
    from prometheus_client.core import GaugeMetricFamily

    family = GaugeMetricFamily(name, about, labels=[label] if label else [])
    for value, number in values.items():
        family.add_metric([value] if label else [], float(number))
    return family
