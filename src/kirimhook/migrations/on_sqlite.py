"""A SQLite file to look at, or to change the tables of while no other process writes."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import DBAPIError

from kirimhook.sender.database.failures import is_storage, unavailable
from kirimhook.sender.database.file import DatabaseFile, SQLiteSettings, engine_on

T = TypeVar("T")
Work = Callable[[Connection], T]


def looking(settings: SQLiteSettings, work: Work[T]) -> T:
    """A file that is not there is not made. Raises `StorageUnavailable`."""
    engine = engine_on(settings, "ro") if Path(settings.path).exists() else create_engine("sqlite://")
    try:
        with _as_unavailable(), engine.connect() as connection:
            return work(connection)
    finally:
        engine.dispose()


def alone(settings: SQLiteSettings, work: Work[T]) -> T:
    """Raises `StorageUnavailable`."""
    file = DatabaseFile(settings)
    try:
        with _as_unavailable(), file.turn() as connection:
            return work(connection)
    finally:
        file.close()


@contextmanager
def _as_unavailable() -> Iterator[None]:
    """What storage is to blame for; any other error of SQLite stays what it is."""
    try:
        yield
    except (DBAPIError, sqlite3.Error, OSError) as error:
        if not isinstance(error, OSError) and not is_storage(error):
            raise
        raise unavailable(error) from error
