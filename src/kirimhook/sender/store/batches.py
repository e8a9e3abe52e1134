"""Hot statements, written once for both databases, and whole batches of rows in one call.

A text is PostgreSQL's, with `$1`; `IN $1` takes a list. PostgreSQL gets batches as arrays, SQLite row by row.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection

Row = tuple[Any, ...]

_IN = re.compile(r"\bIN \$(\d+)")


class Text(NamedTuple):
    """One statement in both dialects."""

    sqlite: str
    postgresql: str


def both(text: str) -> Text:
    """A statement of the subset that both understand."""
    sqlite = _IN.sub(r"IN (SELECT value FROM json_each(?\1))", text).replace("$", "?")
    return Text(sqlite, _IN.sub(r"= ANY($\1::text[])", text))


class Column(NamedTuple):
    """A column of a batch, and its type as PostgreSQL names it."""

    name: str
    type: str = "text"


def updating(table: str, columns: Sequence[Column], *keys: Column) -> Text:
    """Sets `columns` where all `keys` are equal; a row of the batch has them in this order."""
    assigned = [column.name for column in columns]
    equal = " AND ".join(f"{table}.{key.name} = u.{key.name}" for key in keys)
    every = [*columns, *keys]
    return Text(
        f"UPDATE {table} SET {', '.join(f'{name} = ?' for name in assigned)}"
        f" WHERE {' AND '.join(f'{key.name} = ?' for key in keys)}",
        f"UPDATE {table} SET {', '.join(f'{name} = u.{name}' for name in assigned)}"
        f" FROM {_unnested(every)} WHERE {equal}",
    )


def inserting(table: str, *columns: Column) -> Text:
    """A row that is there already stays as it is."""
    names = ", ".join(column.name for column in columns)
    marks = ", ".join("?" for _ in columns)
    return Text(
        f"INSERT INTO {table} ({names}) VALUES ({marks}) ON CONFLICT DO NOTHING",
        f"INSERT INTO {table} ({names}) SELECT {names} FROM {_unnested(columns)} ON CONFLICT DO NOTHING",
    )


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


def run_batch(connection: Connection, text: Text, rows: Sequence[Row]) -> None:
    """Run a statement of `updating` or `inserting` for all rows, if there are any."""
    if not rows:
        return
    if is_sqlite(connection):
        connection.connection.cursor().executemany(text.sqlite, rows)
    else:
        connection.exec_driver_sql(text.postgresql, tuple([list(column) for column in zip(*rows, strict=True)]))


def _listed(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list) else value


_PLAIN_PLANS = """SELECT set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true),
    set_config('enable_mergejoin', 'off', true), set_config('jit', 'off', true)"""


def plan_by_index(connection: Connection) -> None:
    """For this transaction. A plan made while a table was empty is kept, and reads it whole when it is full."""
    if not is_sqlite(connection):
        connection.exec_driver_sql(_PLAIN_PLANS)
