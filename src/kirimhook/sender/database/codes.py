"""What an error of PostgreSQL, of its driver or of the connection to it means."""

from __future__ import annotations

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from kirimhook.sender.database.port import StorageUnavailable

RETRIED = {"40P01": "deadlock", "40001": "serialization"}
"""The transaction was undone because of another; run again, it will most likely succeed."""
DISCONNECTED = "disconnected"
CLASSES = {
    "08": DISCONNECTED,
    "25P": "timeout",  # idle in a transaction for too long
    "25006": "read_only",  # a standby
    "28": "refused",
    "3D": "refused",  # no such database
    "42501": "refused",
    "53100": "disk_full",
    "53": "overloaded",
    "55P03": "locked",
    "55P04": "overloaded",
    "57014": "timeout",
    "57": DISCONNECTED,
    "58": "io_error",
    "XX001": "corrupt",
    "XX002": "corrupt",
    **RETRIED,
}
"""By the longest prefix of the SQLSTATE."""


def state(error: BaseException) -> str:
    """The SQLSTATE, or an empty text."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return str(getattr(cause, "sqlstate", None) or "")


def reason(error: BaseException) -> str | None:
    """None for an error that is not the storage's, but the statement's."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return DISCONNECTED
    if isinstance(error, PoolTimeout):
        return "overloaded"
    found = [CLASSES[prefix] for end in range(5, 1, -1) if (prefix := state(error)[:end]) in CLASSES]
    if found:
        return found[0]
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return _of_the_driver(cause) or _of_the_driver(cause.__cause__)


def _of_the_driver(error: BaseException | None) -> str | None:
    """Bare, or wrapped by SQLAlchemy into one of its own."""
    if isinstance(error, TimeoutError):  # an OSError as well
        return "timeout"
    if isinstance(error, OSError | asyncpg.InterfaceError) and not isinstance(error, asyncpg.DataError):
        return DISCONNECTED
    return None


def unavailable(error: BaseException, why: str, in_doubt: bool = False) -> StorageUnavailable:
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    found = StorageUnavailable(why, str(cause.__cause__ or cause) or repr(cause), in_doubt=in_doubt)
    found.__cause__ = error
    return found
