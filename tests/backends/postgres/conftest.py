"""One server for the tests of a file that do not harm it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kirimhook.testing.postgres import PostgresServer, postgres_server
from tests.backends.postgres.places import Place


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


@pytest.fixture
def place(server: PostgresServer) -> Place:
    return Place(server)
