"""What a handler may do inside the inbox's own transaction."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from typing import Any

from kirimhook.backends.postgres.link import Connection

FORBIDDEN = frozenset({
    "BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT", "SAVEPOINT", "RELEASE", "PREPARE", "DEALLOCATE", "DISCARD",
    "SET", "RESET", "LISTEN", "UNLISTEN", "COPY", "VACUUM",
})  # fmt: skip
"""They end the transaction, or last longer than it; COPY talks to the connection itself."""
ALLOWED = re.compile(r"SET\s+(LOCAL|CONSTRAINTS)\b", re.IGNORECASE)
SKIPPED = re.compile(r"[\s;]+|--[^\n\r]*")
COMMENT = re.compile(r"/\*|\*/")
WORD = re.compile(r"[A-Za-z_]+")


class NotInTransaction(Exception):
    """A statement that a handler may not run, or one run after its handler returned."""


class GuardedTransaction:
    """Statements of one handler. Usable until the handler returns, by the thread that calls it."""

    def __init__(self, connection: Connection, begin: Callable[[Coroutine[Any, Any, Any]], Future[Any]]) -> None:
        """`begin` starts a coroutine on the connection's loop."""
        self._connection: Connection | None = connection
        self._begin = begin

    def end(self) -> None:
        self._connection = None

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run one statement, its parameters `$1`, `$2`, …, and return its rows.

        Raises `NotInTransaction`, and what asyncpg raises. A statement that failed has undone the transaction: the
        others after it fail too, and so does the event.
        """
        connection = self._connection
        if connection is None:
            raise NotInTransaction("this transaction ended when its handler returned")
        refuse(sql)
        return [tuple(row) for row in self._begin(connection.fetch(sql, *parameters)).result()]


def refuse(sql: str) -> None:
    """Raises `NotInTransaction` for a statement that a handler may not run."""
    rest = sql[_beginning(sql) :]
    word = WORD.match(rest)
    if word and word[0].upper() in FORBIDDEN and not ALLOWED.match(rest):
        raise NotInTransaction(f"a handler may not run {word[0].upper()}: the inbox ends its transaction")


def _beginning(sql: str) -> int:
    """Past blanks, empty statements and comments, which nest, as PostgreSQL reads them."""
    position = 0
    while position < len(sql):
        if found := SKIPPED.match(sql, position):
            position = found.end()
        elif sql.startswith("/*", position):
            position = _after_comment(sql, position)
        else:
            break
    return position


def _after_comment(sql: str, position: int) -> int:
    depth = 0
    for found in COMMENT.finditer(sql, position):
        depth += 1 if found[0] == "/*" else -1
        if depth == 0:
            return found.end()
    return len(sql)
