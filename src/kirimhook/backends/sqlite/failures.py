"""What an error of SQLite or of the file system means to whoever waits for a commit."""

from __future__ import annotations

import sqlite3

from kirimhook.receiver.inbox import InboxUnavailable
from kirimhook.sqlite_file.reasons import reason


def unavailable(error: Exception) -> InboxUnavailable:
    """The same trouble in the port's words, a new one for each waiter, who will raise it."""
    if isinstance(error, InboxUnavailable):
        return InboxUnavailable(error.reason, error.detail, error.retry_after)
    detail = str(error) if isinstance(error, sqlite3.Error | OSError) else repr(error)
    found = InboxUnavailable(reason(error), detail)
    found.__cause__ = error
    return found
