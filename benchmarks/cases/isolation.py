"""(g): how long the healthy endpoints wait for their events while others are slow, or never answer."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.cases.deliveries import Run
from benchmarks.measure import Bench, Measurement
from benchmarks.sending.account import check_arrivals
from benchmarks.sending.latencies import first_arrivals, latencies
from benchmarks.sending.publisher import event_ids
from benchmarks.sending.receiving import NEVER, receiving
from benchmarks.sending.sender import sending

BATCH = 10
SLOW = 2.0


def beside_sick(dialect: str) -> Run:
    """None sick; one that never answers and one that takes 2 s; 30 of 100 that never answer."""

    def run(bench: Bench) -> dict[str, Measurement]:
        hanging = range(bench.scale.endpoints * 3 // 10)
        sick: dict[str, dict[int, float]] = {
            "none": {},
            "two": {0: NEVER, 1: SLOW},
            "third": dict.fromkeys(hanging, NEVER),
        }
        return {f"isolation.{name}": _healthy(bench, dialect, delays) for name, delays in sick.items()}

    return run


def _healthy(bench: Bench, dialect: str, delays: Mapping[int, float]) -> Measurement:
    """Events go to all endpoints alike; the figures are those of endpoints that answer at once."""
    scale = bench.scale
    healthy = [number for number in range(scale.endpoints) if number not in delays]
    with receiving(bench.folder, scale.endpoints) as receiver:
        stock = bench.databases.empty(dialect, receiver.urls)
        for endpoint, delay in delays.items():
            receiver.behave(endpoint, delay)
        with sending(stock, receiver, bench.folder) as rig:
            ids = event_ids(0, scale.isolated * scale.isolated_rate // BATCH * BATCH)
            cpu = rig.process.cpu_seconds()
            sent = rig.publisher.at_rate(ids, BATCH, scale.isolated_rate)
            cpu = rig.process.cpu_seconds() - cpu
            events = rig.finish(healthy)
        arrivals = [arrival for arrival in receiver.arrivals() if arrival.endpoint in healthy]
        check_arrivals(arrivals, events)
    begun = min(sent.values()) + scale.isolated_warm_up
    counted = {event: sent[event] for event in events.values() if sent[event] >= begun}
    took = latencies(counted, first_arrivals(arrivals, events))
    return Measurement(len(counted), scale.isolated_rate, cpu / len(ids) * 1e6, took.p50, took.p99, took.most)
