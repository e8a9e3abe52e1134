"""The revisions together make what `schema.metadata` says, on both databases; who is behind, or ahead, is refused.

Compared twice: by Alembic, and by what the databases themselves say of tables made either way.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text

from kirimhook import migrations
from kirimhook.migrations.revisions import VERSION_TABLE
from kirimhook.sender.database import Database, StorageUnavailable
from kirimhook.sender.schema import metadata
from tests.sender.databases import Databases, done

COLUMNS = """
SELECT c.relname, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity,
       pg_get_expr(d.adbin, d.adrelid)
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
     LEFT JOIN pg_attrdef d ON (d.adrelid, d.adnum) = (c.oid, attnum)
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND attnum > 0 AND NOT attisdropped
"""
CONSTRAINTS = "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
INDEXES = "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'"
RELATIONS = "SELECT relkind::text, relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
SQLITE_INDEXES = """
SELECT m.name, i.name, i."unique", i.origin, i.partial, group_concat(x.name || x.desc, ','), s.sql
FROM sqlite_master m, pragma_index_list(m.name) i, pragma_index_xinfo(i.name) x JOIN sqlite_master s ON s.name = i.name
WHERE m.type = 'table' GROUP BY 1, 2
"""
SQLITE_COLUMNS = "SELECT m.name, c.* FROM sqlite_master m, pragma_table_xinfo(m.name) c WHERE m.type = 'table'"
SQLITE_KEYS = "SELECT m.name, k.* FROM sqlite_master m, pragma_foreign_key_list(m.name) k WHERE m.type = 'table'"


def as_the_database_says(connection: Connection) -> set[tuple[Any, ...]]:
    """Tables, columns in their order, constraints, indexes, sequences; without Alembic's own table."""
    sqlite = connection.dialect.name == "sqlite"
    queries = (SQLITE_COLUMNS, SQLITE_INDEXES, SQLITE_KEYS) if sqlite else (COLUMNS, CONSTRAINTS, INDEXES, RELATIONS)
    rows = {
        (number, *(" ".join(value.split()) if isinstance(value, str) else value for value in row))
        for number, query in enumerate(queries)
        for row in connection.execute(text(query))
    }
    return {row for row in rows if not any(VERSION_TABLE in str(value) for value in row)}


def silent(_: str) -> None: ...


def test_the_revisions_make_what_the_metadata_says(empty_url: str) -> None:
    def differences(connection: Connection) -> list[Any]:
        options = {"version_table": VERSION_TABLE, "compare_server_default": True}
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))

    migrations.migrate(empty_url, silent)
    assert Databases(empty_url).run(lambda database: database.read(differences)) == []


def test_the_database_cannot_tell_them_from_tables_made_at_once(empty_url: str, tmp_path: Path) -> None:
    async def use(database: Database) -> None:
        def made_at_once(connection: Connection) -> set[tuple[Any, ...]]:
            metadata.create_all(connection)
            found = as_the_database_says(connection)
            metadata.drop_all(connection)
            return found

        expected = await database.write(made_at_once)
        assert {row[1] for row in expected if row[0] == 0} == set(metadata.tables)
        migrations.migrate(empty_url, silent)
        assert await database.read(as_the_database_says) == expected

    Databases(empty_url).run(use)


def test_what_is_missing_is_said_applied_and_then_missing_no_more(empty_url: str) -> None:
    told: list[str] = []
    everything = migrations.behind(empty_url)
    assert everything[-1] == migrations.needed()
    with pytest.raises(
        migrations.WrongRevision, match=f"is at revision none, this version needs {everything[-1]}: run"
    ):
        migrations.check(empty_url)
    assert migrations.migrate(empty_url, told.append) == everything
    assert [line.partition(":")[0] for line in told] == everything
    assert migrations.behind(empty_url) == []
    migrations.check(empty_url)
    assert migrations.migrate(empty_url, told.append) == []


def test_looking_makes_nothing(tmp_path: Path) -> None:
    assert migrations.behind(f"sqlite:///{tmp_path}/none.db")
    assert list(tmp_path.iterdir()) == []


def test_a_newer_database_is_refused(databases: Databases) -> None:
    databases.run(lambda database: database.write(done(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")))
    for look in (migrations.behind, migrations.check, lambda url: migrations.migrate(url, silent)):
        with pytest.raises(migrations.WrongRevision, match="revision 9999, which this version does not know"):
            look(databases.url)


def test_tables_of_another_program_are_refused_and_left_alone(empty_url: str) -> None:
    async def use(database: Database) -> None:
        await database.write(done("CREATE TABLE events (mine text)"))
        with pytest.raises(migrations.WrongRevision, match="tables of another program: events"):
            migrations.migrate(empty_url, silent)
        columns = await database.read(lambda connection: connection.execute(text("SELECT * FROM events")).keys())
        assert list(columns) == ["mine"]

    Databases(empty_url).run(use)


def test_a_password_is_not_repeated(empty_postgres_url: str) -> None:
    url = empty_postgres_url.replace("postgres@", "postgres:hunter2@")
    with pytest.raises(migrations.WrongRevision) as refused:
        migrations.check(url)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("url", ["mysql://x/y", "sqlite:///:memory:", "sender.db", "sqlite:///x.db?mode=ro"])
def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="sqlite:///"):
        migrations.behind(url)


def test_what_is_no_database_is_said_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "sender.db"
    path.write_bytes(b"a letter, not a database" * 100)
    before = path.read_bytes()
    for look in (migrations.behind, lambda url: migrations.migrate(url, silent)):
        with pytest.raises(StorageUnavailable, match="corrupt"):
            look(f"sqlite:///{path}")
    assert path.read_bytes() == before


def test_a_database_that_is_away_is_storage_unavailable(tmp_path: Path) -> None:
    for url in (f"postgresql://nobody@/none?host={tmp_path}", f"sqlite:///{tmp_path}"):
        with pytest.raises(StorageUnavailable):
            migrations.migrate(url, silent)


PROGRAM = """
import sys
from kirimhook import migrations
sys.stdin.readline()
print(len(migrations.migrate(sys.argv[1], lambda told: None)))
"""


def test_processes_that_migrate_at_once_do_it_once(empty_url: str) -> None:
    command = [sys.executable, "-W", "error", "-c", PROGRAM, empty_url]
    with contextlib.ExitStack() as stack:
        gate, opened = os.pipe()
        started = [
            stack.enter_context(
                subprocess.Popen(command, stdin=gate, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            )
            for _ in range(3)
        ]
        os.close(gate)
        os.close(opened)  # all of them see the end of their input at the same moment
        ended = [process.communicate(timeout=60) for process in started]
    assert [errors for _, errors in ended] == ["", "", ""]
    assert sorted(int(out) for out, _ in ended) == [0, 0, len(migrations.revisions.known())]


def test_who_finds_another_at_it_waits_and_says_so(empty_postgres_url: str) -> None:
    told = threading.Event()
    applied: list[str] = []

    def second() -> None:
        def tell(line: str) -> None:
            if "another process" in line:
                told.set()

        applied.extend(migrations.migrate(empty_postgres_url, tell))

    thread = threading.Thread(target=second)

    def first(line: str) -> None:
        if not thread.ident:
            thread.start()
            assert told.wait(30)

    assert migrations.migrate(empty_postgres_url, first) == migrations.revisions.known()
    thread.join(30)
    assert not thread.is_alive()
    assert applied == []


def test_a_migration_that_fails_leaves_nothing(empty_url: str) -> None:
    def fail(_: str) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        migrations.migrate(empty_url, fail)
    assert migrations.behind(empty_url) == migrations.revisions.known()


def test_a_sqlite_file_of_ours_alone_is_not_world_readable(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "sender.db"
    migrations.migrate(f"sqlite:///{path}", silent)
    assert path.stat().st_mode & 0o077 == 0
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
