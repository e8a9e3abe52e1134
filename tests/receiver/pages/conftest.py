"""Inboxes for the tests of the pages: `sqlite_url`, and `inbox_url` for those that have to hold on all three kinds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kirimhook.backends import migrate_inbox
from kirimhook.testing.nats import NatsCluster, nats_cluster
from kirimhook.testing.postgres import PostgresServer, postgres_server
from tests.conformance.storages import NUMBERS


@pytest.fixture(scope="package")
def postgres() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="package")
def nats() -> Iterator[NatsCluster]:
    with nats_cluster(nodes=1) as node:
        yield node


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'inbox.db'}"


@pytest.fixture(params=["sqlite", "postgres", "nats"])
def inbox_url(request: pytest.FixtureRequest) -> str:
    """An empty inbox of each kind, of this test alone."""
    if request.param == "sqlite":
        return str(request.getfixturevalue("sqlite_url"))
    server, name = request.getfixturevalue(request.param), f"pages_{next(NUMBERS)}"
    if request.param == "postgres":
        url = f"{server.url()}&schema={name}"
    else:
        url = server.url(name, monitor=",".join(node.monitor for node in server.nodes))
    migrate_inbox(url)
    return url
