"""Every case by its name, in the order in which a round runs them."""

from __future__ import annotations

from benchmarks import load
from benchmarks.cases import acks, deliveries, drains, handlers, inboxes, isolation, pages, publishing, usual
from benchmarks.inboxes.storages import POSTGRESQL, STORAGES
from benchmarks.inboxes.storages import SQLITE as SQLITE_INBOX
from benchmarks.measure import Case
from benchmarks.sending.stock import DIALECTS, SQLITE

LOOKED_AT = (SQLITE_INBOX, POSTGRESQL)
"""Inboxes that list by state."""

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

INBOXES: dict[str, Case] = {
    **{
        f"acks.{storage}.{processes}": Case(
            f"{storage}, durable acks by {processes}", inboxes.acks(storage, processes), load.missing
        )
        for processes in (1, 2)
        for storage in STORAGES
    },
    **{
        f"acks_finished.{storage}": Case(
            f"{storage}, durable acks beside finished events", inboxes.acks_finished(storage), load.missing
        )
        for storage in STORAGES
    },
    **{f"drain.{storage}": Case(f"{storage}, worker drain", inboxes.drain(storage)) for storage in STORAGES},
    **{
        f"drain_finished.{storage}": Case(
            f"{storage}, worker drain beside finished events", inboxes.drain_finished(storage)
        )
        for storage in STORAGES
    },
    **{
        f"drain_blocked.{storage}": Case(
            f"{storage}, worker drain beside a key in backoff", inboxes.drain_blocked(storage)
        )
        for storage in STORAGES
    },
}

PAGES: dict[str, Case] = {
    **{f"pages.{dialect}": Case(f"{dialect}, the dashboard", pages.dashboard(dialect)) for dialect in DIALECTS},
    **{f"inbox.{storage}": Case(f"{storage}, an inbox's pages", pages.inbox(storage)) for storage in LOOKED_AT},
}

PARTS = {"receiver": RECEIVER, "sender": SENDER, "inboxes": INBOXES, "pages": PAGES}
CASES: dict[str, Case] = {**RECEIVER, **SENDER, **INBOXES, **PAGES}
