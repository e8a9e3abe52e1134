"""Scenes on a real PostgreSQL: an inbox in a database of its own, and the effects of transactional handlers too."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import asyncpg

from kirimhook.backends import migrate_inbox
from kirimhook.testing.postgres import PostgresServer
from tests.crash.postgres_handlers import EFFECTS
from tests.crash.processes import Processes
from tests.crash.scene import BOOKED, Scene
from tests.crash.table import Report


def scene(
    server: PostgresServer, processes: Processes, report: Report, fault: str, options: str = "commit_bound=5"
) -> Scene:
    """A new inbox on this server, and its crew."""
    database = "crash_" + "".join(letter if letter.isalnum() else "_" for letter in fault.lower())
    run(server.url(), f"CREATE DATABASE {database}")
    plain = server.url(database)
    run(plain, EFFECTS)
    processes.inbox = f"{plain}&{options}"
    migrate_inbox(processes.inbox)
    return Scene(
        processes,
        report,
        "PostgreSQL",
        fault,
        handlers="tests.crash.postgres_handlers:hooks",
        kinds=BOOKED,
        effects=lambda: Counter(row[0] for row in run(plain, "SELECT event_id FROM public.effects")),
    )


def run(url: str, *statements: str) -> list[Any]:
    """Each by itself, on one connection; the rows of the last. Raises what asyncpg raises."""

    async def one_by_one() -> list[Any]:
        connection = await asyncpg.connect(url)
        try:
            rows: list[Any] = []
            for statement in statements:
                rows = await connection.fetch(statement)
        finally:
            await connection.close()
        return rows

    return asyncio.run(one_by_one())
