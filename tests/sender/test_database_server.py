"""The PostgreSQL server of the test kit: real, durable, at one URL over restarts, and gone with whoever started it."""

from __future__ import annotations

import asyncio
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import asyncpg
import psutil
import pytest

from kirimhook.testing import postgres as kit
from kirimhook.testing.postgres import PostgresFailed, PostgresServer, postgres_server


async def ask(url: str, statement: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


def test_it_is_durable_and_not_on_the_network(postgres: PostgresServer) -> None:
    assert str(asyncio.run(ask(postgres.url(), "SHOW server_version"))).startswith("18.")
    assert asyncio.run(ask(postgres.url(), "SHOW fsync")) == "on"
    assert asyncio.run(ask(postgres.url(), "SHOW listen_addresses")) == ""
    assert postgres.processes()[0] == postgres.pid
    assert len(postgres.processes()) > 3


def test_a_power_cut_loses_nothing_that_was_committed() -> None:
    with postgres_server() as server:
        asyncio.run(ask(server.url(), "CREATE TABLE kept AS SELECT 7 AS n"))
        server.stop(immediately=True)
        assert server.pid == 0
        assert server.processes() == []
        server.start()
        assert asyncio.run(ask(server.url(), "SELECT n FROM kept")) == 7
        server.stop()
        server.start()
        assert asyncio.run(ask(server.url(), "SELECT n FROM kept")) == 7
        folder = server.folder
    assert not folder.exists()


def processes_of(folder: str) -> list[psutil.Process]:
    """Those that have it on their command line."""
    found = psutil.process_iter(["cmdline"])
    return [process for process in found if any(folder in word for word in process.info["cmdline"] or ())]


PROGRAM = """
import os, signal
from kirimhook.testing.postgres import postgres_server
with postgres_server() as server:
    print(server.folder, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_it_ends_when_the_process_that_started_it_is_killed() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    folder = done.stdout.decode().strip()
    _, alive = psutil.wait_procs(processes_of(folder), 30)
    assert alive == processes_of(folder) == []
    shutil.rmtree(folder)


def test_where_the_server_may_not_go_it_gets_a_copy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(kit, "OTHERS_MAY_ENTER", 0)
    monkeypatch.setattr(kit, "_is_root", lambda: True)
    program = kit._installation(tmp_path) / "bin" / "postgres"
    assert program.is_relative_to(tmp_path)
    said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=60, check=True)
    assert said.stdout.startswith("postgres (PostgreSQL) 18.")


def test_one_that_cannot_start_says_why() -> None:
    with pytest.raises(PostgresFailed, match="no_such_setting"), postgres_server(settings={"no_such_setting": "1"}):
        pass
