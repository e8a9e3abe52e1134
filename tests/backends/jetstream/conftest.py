"""A server of each kind for a module's tests; a test that stops servers starts its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kirimhook.testing.nats import NatsCluster, nats_cluster


@pytest.fixture(scope="module")
def node() -> Iterator[NatsCluster]:
    """One server."""
    with nats_cluster(1) as cluster:
        yield cluster


@pytest.fixture
def three() -> Iterator[NatsCluster]:
    """Three servers, of this test alone."""
    with nats_cluster(3) as cluster:
        yield cluster
