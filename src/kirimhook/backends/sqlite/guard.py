"""What a handler may do inside the inbox's own transaction."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

FORBIDDEN = frozenset({
    "BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE", "ATTACH", "DETACH", "PRAGMA", "VACUUM",
})  # fmt: skip
FIRST_WORD = re.compile(r"(?:[\s\ufeff;]|--[^\n]*(?:\n|$)|/\*.*?(?:\*/|$))*([A-Za-z]+)?", re.DOTALL)
"""Past blanks, comments and empty statements, as SQLite reads them."""


class NotInTransaction(Exception):
    """A statement that a handler may not run, or one run after its handler returned."""


class GuardedTransaction:
    """Statements of one handler. Usable until the handler returns, by the thread that calls it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection: sqlite3.Connection | None = connection

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection = None

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run one statement and return its rows. Raises `NotInTransaction`, sqlite3.Error."""
        if self._connection is None:
            raise NotInTransaction("this transaction ended when its handler returned")
        if not self._connection.in_transaction:
            raise NotInTransaction("a statement before this one rolled the transaction back")
        word = FIRST_WORD.match(sql)
        if word and (word[1] or "").upper() in FORBIDDEN:
            raise NotInTransaction(f"a handler may not run {word[1].upper()}: the inbox ends its transaction")
        return self._connection.execute(sql, parameters).fetchall()
