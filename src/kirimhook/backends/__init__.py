"""Where events are stored. `open_inbox` is the only door; nothing else of ours imports a backend."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from kirimhook.receiver.inbox import Inbox

__all__ = ["open_inbox"]


def open_inbox(url: str, *, clock: Callable[[], float] = time.time, **options: Any) -> Inbox:
    """The inbox that `url` names, not opened yet (`await inbox.open()`).

    `sqlite:///inbox.db` (relative), `sqlite:////var/lib/inbox.db` (absolute), `sqlite:///:memory:` (tests).
    `clock` returns seconds since the epoch. Options are fields of `SQLiteSettings`, also as a query of the
    URL. Raises ValueError for a URL or an option that no backend knows.
    """
    scheme = url.partition(":")[0]
    if scheme != "sqlite":
        raise ValueError(f"inbox URL {url!r}: the scheme must be sqlite, as in sqlite:///inbox.db")
    from kirimhook.backends.sqlite.inbox import SQLiteInbox
    from kirimhook.backends.sqlite.settings import SQLiteSettings

    return SQLiteInbox(SQLiteSettings.from_url(url, **options), clock)
