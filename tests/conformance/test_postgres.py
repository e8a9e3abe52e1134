"""The PostgreSQL inbox keeps every promise of the port, on a real server: with sessions of its own, and without."""

from __future__ import annotations

from collections.abc import Iterator

import asyncpg
import pytest

from kirimhook.receiver.inbox import Capabilities
from kirimhook.testing.conformance import InboxConformance
from kirimhook.testing.conformance.crowding import Crowding
from kirimhook.testing.conformance.machine import check
from kirimhook.testing.conformance.sharing import Sharing
from kirimhook.testing.conformance.transactions import Transacting
from kirimhook.testing.conformance.waiting import Waiting
from kirimhook.testing.postgres import PostgresServer, postgres_server
from tests.conformance.storages import NUMBERS, Migrated, histories


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


class Schema(Migrated):
    """One schema of the server's database; a handler's own tables are there too."""

    def __init__(self, server: PostgresServer, *, poll_only: bool) -> None:
        self._database = server.url()
        self._name = f"conformance_{next(NUMBERS)}"
        super().__init__(f"{self._database}&schema={self._name}&poll_only={str(poll_only).lower()}")

    async def clean(self) -> None:
        connection = await asyncpg.connect(self._database)
        try:
            await connection.execute("SET client_min_messages = warning")
            await connection.execute(f"DROP SCHEMA {self._name} CASCADE")
            await connection.execute("DROP TABLE IF EXISTS orders")
        finally:
            await connection.close()


class TestPostgres(InboxConformance):
    capabilities = Capabilities(transactions=True, durable=True)
    placeholder = "$1"

    @pytest.fixture
    def storage(self, server: PostgresServer) -> Schema:
        return Schema(server, poll_only=False)


class TestThroughAPooler(Waiting, Sharing, Crowding, Transacting):
    """As behind a pooler that gives a connection away after each transaction: what could count on a session."""

    capabilities = TestPostgres.capabilities
    placeholder = "$1"

    @pytest.fixture
    def storage(self, server: PostgresServer) -> Schema:
        return Schema(server, poll_only=True)


@pytest.mark.timeout(600)  # a failure takes some minutes to be made short
def test_it_shows_what_the_model_shows(server: PostgresServer) -> None:
    check(lambda: Schema(server, poll_only=False), histories(30))
