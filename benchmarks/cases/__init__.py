"""Every case by its name, in the order in which a round runs them."""

from __future__ import annotations

from benchmarks import load
from benchmarks.cases import acks, deliveries, drains, handlers, isolation, publishing, usual
from benchmarks.measure import Case
from benchmarks.sending.stock import DIALECTS, SQLITE

RECEIVER: dict[str, Case] = {
    "bare": Case("a bare ASGI callable on the same server", acks.bare, load.missing),
    "acks": Case("durable acks, no worker", acks.without_worker, load.missing),
    "acks_with_worker": Case("durable acks, the worker running", acks.with_worker, load.missing),
    "acks_finished": Case("durable acks into a file with finished rows", acks.into_finished, load.missing),
    "drain": Case("worker drain", drains.drain),
    "drain_finished": Case("worker drain of a file with finished rows", drains.drain_finished),
    "drain_blocked": Case("worker drain beside a key in backoff", drains.drain_blocked),
    "handlers": Case("acks while handlers misbehave", handlers.acks_beside, load.missing),
}

SENDER: dict[str, Case] = {
    **{f"deliver.{dialect}.1": Case(f"{dialect}, one endpoint", deliveries.to_one(dialect)) for dialect in DIALECTS},
    **{
        f"deliver.{dialect}.100": Case(f"{dialect}, many endpoints", deliveries.to_many(dialect))
        for dialect in DIALECTS
    },
    **{
        f"deliver_past.{dialect}": Case(f"{dialect}, beside old deliveries", deliveries.beside_past(dialect))
        for dialect in DIALECTS
    },
    **{
        f"deliver_behind.{dialect}": Case(f"{dialect}, beside a backlog", deliveries.beside_backlog(dialect))
        for dialect in DIALECTS
    },
    **{
        f"publish.{dialect}": Case(f"{dialect}, through the API", publishing.through_api(dialect))
        for dialect in DIALECTS
    },
    "isolation": Case("some endpoints are sick", isolation.beside_sick(SQLITE)),
    "celery": Case("Celery, Redis and requests", usual.usual, usual.missing),
    "celery_tuned": Case("Celery, tuned", usual.tuned, usual.missing),
}

PARTS = {"receiver": RECEIVER, "sender": SENDER}
CASES: dict[str, Case] = {**RECEIVER, **SENDER}
