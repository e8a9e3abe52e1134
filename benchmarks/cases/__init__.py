"""Every case by its name, in the order in which a round runs them."""

from __future__ import annotations

from benchmarks.cases import acks, drains, handlers
from benchmarks.measure import Case

CASES: dict[str, Case] = {
    "bare": Case("a bare ASGI callable on the same server", acks.bare),
    "acks": Case("durable acks, no worker", acks.without_worker),
    "acks_with_worker": Case("durable acks, the worker running", acks.with_worker),
    "acks_finished": Case("durable acks into a file with finished rows", acks.into_finished),
    "drain": Case("worker drain", drains.drain),
    "drain_finished": Case("worker drain of a file with finished rows", drains.drain_finished),
    "drain_blocked": Case("worker drain beside a key in backoff", drains.drain_blocked),
    "handlers": Case("acks while handlers misbehave", handlers.acks_beside),
}
