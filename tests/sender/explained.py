"""How much of a table a query reads, by the database's own account."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import Connection, Engine, event

from kirimhook.sender.database import Database

STEPS_A_ROW = 40
"""Of SQLite's virtual machine, for a row that is read, tested and returned with all its columns, at most."""


async def rows_read(database: Database, operation: Callable[[Connection], Any]) -> int:
    """By all of the operation's statements. PostgreSQL counts rows, in index entries and tables; SQLite's steps are
    converted, and count too much rather than too little for rows that are only walked over."""
    if database.dialect == "sqlite":
        return await database.read(lambda connection: _steps(connection, operation) // STEPS_A_ROW)
    return await database.read(lambda connection: _rows(connection, operation))


def _steps(connection: Connection, operation: Callable[[Connection], Any]) -> int:
    raw = connection.connection.driver_connection
    assert isinstance(raw, sqlite3.Connection)
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 10
        return 0

    raw.set_progress_handler(count, 10)
    try:
        operation(connection)
    finally:
        raw.set_progress_handler(None, 0)
    return steps


def _rows(connection: Connection, operation: Callable[[Connection], Any]) -> int:
    statements: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        statements.append((statement, parameters))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        operation(connection)
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    total = 0
    for statement, parameters in statements:
        plan = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters).scalar_one()
        plan = json.loads(plan) if isinstance(plan, str) else plan
        total += sum(_scanned(plan[0]["Plan"]))
    return total


def _scanned(node: dict[str, Any]) -> Iterator[int]:
    """What its scans found and threw away, over all their loops."""
    if "Scan" in node["Node Type"]:
        removed = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
        yield int((node["Actual Rows"] + removed) * node["Actual Loops"])
    for child in node.get("Plans", []):
        yield from _scanned(child)
