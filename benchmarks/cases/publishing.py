"""(e2) The whole way: published through the API in batches of 100, delivered, recorded."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.cases.deliveries import Run
from benchmarks.measure import Bench, Measurement
from benchmarks.sending.account import check_arrivals
from benchmarks.sending.latencies import first_arrivals, latencies
from benchmarks.sending.publisher import event_ids
from benchmarks.sending.receiving import receiving
from benchmarks.sending.sender import Rig, sending

BATCH = 100


def through_api(dialect: str) -> Run:
    """As fast as it goes, and then at half that rate."""

    def run(bench: Bench) -> dict[str, Measurement]:
        scale = bench.scale
        with receiving(bench.folder, scale.endpoints) as receiver:
            stock = bench.databases.empty(dialect, receiver.urls)
            with sending(stock, receiver, bench.folder) as rig:
                _as_fast(rig, event_ids(0, scale.published // 4))
                whole = _as_fast(rig, event_ids(1, scale.published))
                count = int(scale.steady * whole.per_second / 2) // BATCH * BATCH + BATCH
                half = _at_rate(rig, event_ids(2, count), whole.per_second / 2)
        return {f"publish.{dialect}": whole, f"publish.{dialect}.half": half}

    return run


def _as_fast(rig: Rig, ids: Sequence[str]) -> Measurement:
    rig.receiver.forget()
    cpu = rig.process.cpu_seconds()
    began = rig.publisher.as_fast(ids, BATCH)
    arrived = _arrived(rig, ids)
    count = len(ids)
    seconds = max(arrived.values()) - began
    return Measurement(count, count / seconds, (rig.process.cpu_seconds() - cpu) / count * 1e6)


def _at_rate(rig: Rig, ids: Sequence[str], per_second: float) -> Measurement:
    rig.receiver.forget()
    cpu = rig.process.cpu_seconds()
    sent = rig.publisher.at_rate(ids, BATCH, per_second)
    took = latencies(sent, _arrived(rig, ids))
    return Measurement(
        len(ids), per_second, (rig.process.cpu_seconds() - cpu) / len(ids) * 1e6, took.p50, took.p99, took.most
    )


def _arrived(rig: Rig, ids: Sequence[str]) -> dict[str, float]:
    """When each event arrived, once all of them are recorded."""
    wanted = set(ids)
    events = {
        delivery: event for delivery, event in rig.finish(range(len(rig.receiver.urls))).items() if event in wanted
    }
    arrivals = rig.receiver.arrivals()
    check_arrivals(arrivals, events)
    return first_arrivals(arrivals, events)
