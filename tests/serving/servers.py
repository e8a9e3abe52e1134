"""Servers for inboxes that a test stops and starts again, and URLs with a password that must not be seen anywhere."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from kirimhook.testing.nats import nats_cluster
from kirimhook.testing.postgres import postgres_server

PASSWORD = "h0rse-staple"


def with_password(url: str) -> str:
    """Neither server asks for one here, and both take it."""
    if url.startswith("postgresql://"):
        return url.replace("kirimhook@", f"kirimhook:{PASSWORD}@", 1)
    return url.replace("nats://", f"nats://kirimhook:{PASSWORD}@", 1)


@contextlib.contextmanager
def postgresql() -> Iterator[tuple[str, Callable[[], None], Callable[[], None]]]:
    with postgres_server() as server:
        yield server.url(), lambda: server.stop(immediately=True), server.start


@contextlib.contextmanager
def nats() -> Iterator[tuple[str, Callable[[], None], Callable[[], None]]]:
    with nats_cluster(1, sync_always=False) as cluster:
        yield cluster.url(partitions=2), cluster.nodes[0].kill, cluster.nodes[0].start
