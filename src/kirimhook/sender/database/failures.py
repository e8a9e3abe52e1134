"""What an error of SQLite or of the file system means to whoever waits for a commit."""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError

from kirimhook.sender.database.port import StorageRefused, StorageUnavailable
from kirimhook.sqlite_file import reasons


def cause(error: BaseException) -> BaseException:
    """Of what SQLAlchemy raised, what sqlite3 did."""
    return error.orig if isinstance(error, DBAPIError) and error.orig is not None else error


def is_storage(error: BaseException) -> bool:
    """Whether the storage failed, and not the statement."""
    return reasons.is_storage(cause(error))


def reason(error: BaseException) -> str:
    return error.reason if isinstance(error, StorageUnavailable) else reasons.reason(cause(error))


def unavailable(error: BaseException, *, in_doubt: bool = False) -> StorageUnavailable:
    """The same trouble in the port's words, a new one for each caller, who will raise it."""
    in_doubt = in_doubt or (isinstance(error, StorageUnavailable) and error.in_doubt)
    if isinstance(error, StorageUnavailable):
        kind = StorageRefused if isinstance(error, StorageRefused) else StorageUnavailable
        return kind(error.reason, error.detail, retry_after=error.retry_after, in_doubt=in_doubt)
    found = StorageUnavailable(reason(error), str(cause(error)) or repr(error), in_doubt=in_doubt)
    found.__cause__ = error
    return found
