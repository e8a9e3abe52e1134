"""(e), (f) and (h): how fast an engine empties a queue, beside a bare loop in the same process."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict

from benchmarks.measure import Bench, Measurement
from benchmarks.processes import running
from benchmarks.sending.account import check_arrivals
from benchmarks.sending.driver import AFTER, BEFORE, Figures, Plan, posted_ids
from benchmarks.sending.prefill import State
from benchmarks.sending.receiving import NEVER, Arrival, Receiver, receiving
from benchmarks.sending.stock import Stock
from kirimhook.contract.ids import DELIVERY
from kirimhook.sender.sealing import ENVIRONMENT_VARIABLE

LONGEST = 900.0
Run = Callable[[Bench], dict[str, Measurement]]


def to_one(dialect: str) -> Run:
    """One endpoint."""
    return lambda bench: _empty(bench, dialect, f"deliver.{dialect}.1", 1)


def to_many(dialect: str) -> Run:
    """A hundred."""
    return lambda bench: _empty(bench, dialect, f"deliver.{dialect}.100", bench.scale.endpoints)


def beside_past(dialect: str) -> Run:
    """With a million old deliveries in the database."""

    def run(bench: Bench) -> dict[str, Measurement]:
        with receiving(bench.folder, bench.scale.endpoints) as receiver:
            stock = bench.databases.past(dialect, receiver.urls)
            return {f"deliver_past.{dialect}": _measure(bench, receiver, stock, range(bench.scale.endpoints))[1]}

    return run


def beside_backlog(dialect: str) -> Run:
    """With a million that are due to one endpoint that never answers."""

    def run(bench: Bench) -> dict[str, Measurement]:
        with receiving(bench.folder, bench.scale.endpoints) as receiver:
            stock = bench.databases.behind(dialect, receiver.urls)
            receiver.behave(0, NEVER)
            healthy = range(1, bench.scale.endpoints)
            return {f"deliver_behind.{dialect}": _measure(bench, receiver, stock, healthy)[1]}

    return run


def _empty(bench: Bench, dialect: str, name: str, endpoints: int) -> dict[str, Measurement]:
    with receiving(bench.folder, endpoints) as receiver:
        stock = bench.databases.empty(dialect, receiver.urls)
        bare, delivered = _measure(bench, receiver, stock, range(endpoints))
    return {name.replace("deliver", "bare_posts"): bare, name: delivered}


def _measure(
    bench: Bench, receiver: Receiver, stock: Stock, endpoints: Sequence[int]
) -> tuple[Measurement, Measurement]:
    """What the bare loop did, and what the engine did."""
    ids = stock.add(bench.scale.deliveries, State.DUE, endpoints)
    stock.settle_down()
    cpu = receiver.process.cpu_seconds()
    figures = _drive(bench, receiver, stock, endpoints)
    cpu = (receiver.process.cpu_seconds() - cpu) / receiver.arrived() * 1e6
    posted, delivered = _split(arrival for arrival in receiver.arrivals() if arrival.endpoint in endpoints)
    check_arrivals(posted, posted_ids(bench.scale))
    check_arrivals(delivered, ids)
    stock.expect_succeeded(ids)
    bare = (figures.before + figures.after) / 2
    count = len(delivered) - bench.scale.deliveries_warm_up
    rate = count / (figures.ended - delivered[bench.scale.deliveries_warm_up - 1].at)
    return (
        Measurement(figures.posts, bare, figures.post_cpu_us, receiver_cpu_us=cpu),
        Measurement(
            count,
            rate,
            figures.cpu_seconds / count * 1e6,
            database_cpu_us=figures.database_cpu_seconds / count * 1e6 if stock.server_pid else None,
            receiver_cpu_us=cpu,
            of_bare=rate / bare,
        ),
    )


def _drive(bench: Bench, receiver: Receiver, stock: Stock, endpoints: Sequence[int]) -> Figures:
    output = bench.folder / "figures.json"
    plan = Plan(
        database=stock.url,
        server_pid=stock.server_pid,
        authority=str(receiver.authority),
        control=receiver.control,
        urls=[receiver.urls[endpoint] for endpoint in endpoints],
        posts=bench.scale.posts,
        posts_warm_up=bench.scale.posts_warm_up,
        subscriptions=[stock.subscriptions[endpoint] for endpoint in endpoints],
        deliveries=bench.scale.deliveries,
        warm_up=bench.scale.deliveries_warm_up,
        output=str(output),
    )
    words = ["-m", "benchmarks.sending.driver", json.dumps(asdict(plan))]
    with running(words, bench.folder, {ENVIRONMENT_VARIABLE: stock.master_key}, name="driver") as driver:
        driver.wait(LONGEST)
    return Figures(**json.loads(output.read_text("utf-8")))


def _split(arrivals: Iterable[Arrival]) -> tuple[list[Arrival], list[Arrival]]:
    """Those of the bare loop, and those of the engine."""
    posted: list[Arrival] = []
    delivered: list[Arrival] = []
    for arrival in arrivals:
        (posted if arrival.delivery_id[len(DELIVERY)] in BEFORE + AFTER else delivered).append(arrival)
    return posted, delivered
