"""Every test of what a sender keeps runs on SQLite and on a real PostgreSQL.

`database_url` is a database with all tables and nothing in them, of this test alone; `database` has it open for
`asyncio.run`, see `tests.sender.databases`.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from kirimhook.testing.postgres import PostgresServer, postgres_server
from tests.sender.databases import Databases, PostgresTemplate, make_tables

DIALECTS = ["sqlite", "postgresql"]


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One for all tests, which must neither stop it nor change its settings."""
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_template(postgres: PostgresServer) -> PostgresTemplate:
    return PostgresTemplate(postgres)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    make_tables(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    return f"sqlite:///{shutil.copyfile(sqlite_template, tmp_path / 'sender.db')}"


@pytest.fixture
def postgres_url(postgres_template: PostgresTemplate) -> Iterator[str]:
    with postgres_template.database() as url:
        yield url


@pytest.fixture(params=DIALECTS)
def dialect(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def database_url(dialect: str, request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue("sqlite_url" if dialect == "sqlite" else "postgres_url"))


@pytest.fixture
def databases(database_url: str) -> Databases:
    return Databases(database_url)


@pytest.fixture
def empty_url(dialect: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    if dialect == "sqlite":
        return f"sqlite:///{tmp_path / 'empty.db'}"
    return str(request.getfixturevalue("empty_postgres_url"))


@pytest.fixture
def empty_postgres_url(postgres_template: PostgresTemplate) -> Iterator[str]:
    with postgres_template.empty() as url:
        yield url
