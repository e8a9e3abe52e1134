"""Hot statements, written once for both databases, and whole batches of rows in one call.

A text is PostgreSQL's, with `$1`; `IN $1` takes a list. PostgreSQL gets a batch as arrays, SQLite as `VALUES` of many
rows. Row by row the writer's thread would hand Python over to the event loop, and wait to get it back, at each row.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple

from sqlalchemy import Connection

Row = tuple[Any, ...]

PORTIONS = (256, 64, 16, 4, 1)
"""Rows of one statement on SQLite, which takes 32766 values."""

_IN = re.compile(r"\bIN \$(\d+)")


class Text(NamedTuple):
    """One statement in both dialects."""

    sqlite: str
    postgresql: str


def both(text: str) -> Text:
    """A statement of the subset that both understand."""
    sqlite = _IN.sub(r"IN (SELECT value FROM json_each(?\1))", text).replace("$", "?")
    return Text(sqlite, _IN.sub(r"= ANY($\1::text[])", text))


class Batch(NamedTuple):
    """A statement for many rows: on SQLite `head`, so many times `row`, `tail`."""

    head: str
    row: str
    tail: str
    postgresql: str

    def sqlite(self, rows: int) -> str:
        return f"{self.head}{', '.join([self.row] * rows)}{self.tail}"


class Column(NamedTuple):
    """A column of a batch, and its type as PostgreSQL names it."""

    name: str
    type: str = "text"


def updating(table: str, columns: Sequence[Column], *keys: Column) -> Batch:
    """Sets `columns` where all `keys` are equal; a row of the batch has them in this order."""
    every = [*columns, *keys]
    assigned = ", ".join(f"{column.name} = u.{column.name}" for column in columns)
    equal = " AND ".join(f"{table}.{key.name} = u.{key.name}" for key in keys)
    names = ", ".join(column.name for column in every)
    return Batch(
        f"WITH u({names}) AS (VALUES ",
        _marks(every),
        f") UPDATE {table} SET {assigned} FROM u WHERE {equal}",
        f"UPDATE {table} SET {assigned} FROM {_unnested(every)} WHERE {equal}",
    )


def inserting(table: str, *columns: Column) -> Batch:
    """A row that is there already stays as it is."""
    names = ", ".join(column.name for column in columns)
    return Batch(
        f"INSERT INTO {table} ({names}) VALUES ",
        _marks(columns),
        " ON CONFLICT DO NOTHING",
        f"INSERT INTO {table} ({names}) SELECT {names} FROM {_unnested(columns)} ON CONFLICT DO NOTHING",
    )


def replacing(table: str, columns: Sequence[Column], *keys: Column) -> Batch:
    """Inserts, or sets `columns` where all `keys`, the primary key, are there; a row has them in this order."""
    every = [*columns, *keys]
    names = ", ".join(column.name for column in every)
    assigned = ", ".join(f"{column.name} = excluded.{column.name}" for column in columns)
    replaced = f" ON CONFLICT ({', '.join(key.name for key in keys)}) DO UPDATE SET {assigned}"
    return Batch(
        f"INSERT INTO {table} ({names}) VALUES ",
        _marks(every),
        replaced,
        f"INSERT INTO {table} ({names}) SELECT {names} FROM {_unnested(every)}{replaced}",
    )


def _marks(columns: Sequence[Column]) -> str:
    return f"({', '.join('?' for _ in columns)})"


def _unnested(columns: Sequence[Column]) -> str:
    arrays = ", ".join(f"${number}::{column.type}[]" for number, column in enumerate(columns, 1))
    return f"unnest({arrays}) AS u({', '.join(column.name for column in columns)})"


def is_sqlite(connection: Connection) -> bool:
    return connection.dialect.name == "sqlite"


def fetch(connection: Connection, text: Text, *values: Any) -> list[Row]:
    """Run a statement and take all its rows."""
    rows: list[Row]
    if is_sqlite(connection):
        cursor = connection.connection.cursor()
        cursor.execute(text.sqlite, tuple([_listed(value) for value in values]))
        rows = list(cursor.fetchall())
        return rows
    return [tuple(row) for row in connection.exec_driver_sql(text.postgresql, values).all()]


def run(connection: Connection, text: Text, *values: Any) -> None:
    """Run a statement that returns nothing."""
    if is_sqlite(connection):
        connection.connection.cursor().execute(text.sqlite, tuple([_listed(value) for value in values]))
    else:
        connection.exec_driver_sql(text.postgresql, values)


def run_batch(connection: Connection, batch: Batch, rows: Sequence[Row]) -> None:
    """Run a statement of `updating`, `inserting` or `replacing` for all rows, if there are any."""
    if not rows:
        return
    if is_sqlite(connection):
        cursor = connection.connection.cursor()
        for some in _portions(rows):
            cursor.execute(batch.sqlite(len(some)), list(chain.from_iterable(some)))
    else:
        connection.exec_driver_sql(batch.postgresql, tuple([list(column) for column in zip(*rows, strict=True)]))


def _portions(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """In few sizes: SQLite keeps a statement of each."""
    start = 0
    for size in PORTIONS:
        while len(rows) - start >= size:
            yield rows[start : start + size]
            start += size


def _listed(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list) else value


_PLAIN_PLANS = """SELECT set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true),
    set_config('enable_mergejoin', 'off', true), set_config('jit', 'off', true)"""


def plan_by_index(connection: Connection) -> None:
    """For this transaction. A plan made while a table was empty is kept, and reads it whole when it is full."""
    if not is_sqlite(connection):
        connection.exec_driver_sql(_PLAIN_PLANS)


def plan_in_order(connection: Connection) -> None:
    """As `plan_by_index`, and rows come in the order of the index that finds them. By statistics from when a table was
    small, PostgreSQL would else fetch all that matches, and sort it."""
    if not is_sqlite(connection):
        connection.exec_driver_sql(_PLAIN_PLANS + ", set_config('enable_bitmapscan', 'off', true)")


_FEWEST_ROWS = """SELECT set_config('cpu_tuple_cost', '10', true),
    set_config('enable_bitmapscan', 'off', true), set_config('max_parallel_workers_per_gather', '0', true)"""


def plan_for_few_rows(connection: Connection) -> None:
    """As `plan_by_index`, and for what is ordered by id by the index that finds it. PostgreSQL takes what matches to be
    spread evenly, and would else walk the primary key through all that is older than the first one."""
    plan_by_index(connection)
    if not is_sqlite(connection):
        connection.exec_driver_sql(_FEWEST_ROWS)
