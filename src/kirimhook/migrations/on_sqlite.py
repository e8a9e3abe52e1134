"""A SQLite file to look at, or to change the tables of while no other process writes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import DBAPIError

from kirimhook.sender.database.file import DatabaseFile, SQLiteSettings, engine_on
from kirimhook.sender.database.writer import unavailable
from kirimhook.sqlite_file.reasons import is_storage

T = TypeVar("T")
Work = Callable[[Connection], T]


def looking(settings: SQLiteSettings, work: Work[T]) -> T:
    """A file that is not there is not made. Raises `StorageUnavailable`."""
    engine = engine_on(settings, "ro") if Path(settings.path).exists() else create_engine("sqlite://")
    try:
        with engine.connect() as connection:
            return work(connection)
    except (DBAPIError, OSError) as error:
        raise _meant(error) from error
    finally:
        engine.dispose()


def alone(settings: SQLiteSettings, work: Work[T]) -> T:
    """Raises `StorageUnavailable`."""
    file = DatabaseFile(settings)
    try:
        with file.turn() as connection:
            return work(connection)
    except (DBAPIError, OSError) as error:
        raise _meant(error) from error
    finally:
        file.close()


def _meant(error: DBAPIError | OSError) -> Exception:
    cause = error.orig if isinstance(error, DBAPIError) else error
    of_storage = isinstance(cause, OSError) or (cause is not None and is_storage(cause))
    return unavailable(error) if of_storage else error
