"""Where events are stored. This is the only door; nothing else of ours imports a backend.

A backend is imported when a URL names it: what its extra brings is needed only then.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from kirimhook.backends.shown import scrubbed, shown
from kirimhook.receiver.inbox import Inbox

__all__ = ["SCHEMES", "kind_of", "migrate_inbox", "needed", "open_inbox", "scrubbed", "shown"]

SCHEMES = {"sqlite": "sqlite", "postgresql": "postgresql", "postgres": "postgresql", "nats": "nats", "tls": "nats"}
"""The kind of inbox that a URL names."""
_EXTRAS = {"asyncpg": "postgres", "nats": "nats"}
"""Which extra brings a package."""


def open_inbox(url: str, *, clock: Callable[[], float] = time.time, **options: Any) -> Inbox:
    """The inbox that `url` names, not opened yet (`await inbox.open()`).

    `sqlite:///inbox.db` (relative), `sqlite:////var/lib/inbox.db` (absolute), `sqlite:///:memory:` (tests);
    `postgresql://user:password@host/database`; `nats://host,host,host/name`. `clock` returns seconds since the
    epoch. Options are fields of the backend's settings, also as a query of the URL. Raises ValueError for a URL
    or an option that no backend knows, and for an extra that is not installed.
    """
    kind = kind_of(url)
    with _extras():
        if kind == "postgresql":
            from kirimhook.backends.postgres.inbox import PostgresInbox
            from kirimhook.backends.postgres.settings import PostgresSettings

            return PostgresInbox(PostgresSettings.from_url(url, **options), clock)
        if kind == "nats":
            from kirimhook.backends.jetstream.inbox import JetStreamInbox
            from kirimhook.backends.jetstream.settings import JetStreamSettings

            return JetStreamInbox(JetStreamSettings.from_url(url, **options), clock)
        from kirimhook.backends.sqlite.inbox import SQLiteInbox
        from kirimhook.backends.sqlite.settings import SQLiteSettings

        return SQLiteInbox(SQLiteSettings.from_url(url, **options), clock)


def migrate_inbox(url: str, **options: Any) -> list[str]:
    """Bring the storage to what this version needs; the steps that it took, none if it was there already.

    Raises `InboxUnavailable`, and ValueError as `open_inbox` does. Not from within an event loop.
    """
    done: list[str] = asyncio.run(_migrations(url).migrate(url, **options))
    return done


def needed(url: str) -> str:
    """The version of the schema that this version needs. Raises ValueError as `open_inbox` does."""
    version: str = _migrations(url).needed()
    return version


def kind_of(url: str) -> str:
    """`sqlite`, `postgresql` or `nats`. Raises ValueError."""
    kind = SCHEMES.get(url.partition(":")[0])
    if kind is None:
        examples = "sqlite:///inbox.db, postgresql://user@host/database, nats://host,host,host/name"
        raise ValueError(f"inbox URL {shown(url)!r}: the scheme must be sqlite, postgresql or nats, as in {examples}")
    return kind


def _migrations(url: str) -> ModuleType:
    kind = kind_of(url)
    with _extras():
        if kind == "postgresql":
            from kirimhook.backends.postgres import migrate as on_postgres

            return on_postgres
        if kind == "nats":
            from kirimhook.backends.jetstream import migrate as on_jetstream

            return on_jetstream
        from kirimhook.backends.sqlite import migrate as on_sqlite

        return on_sqlite


@contextlib.contextmanager
def _extras() -> Iterator[None]:
    """Turns a package that is not installed into the ValueError that names the extra."""
    try:
        yield
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        raise ValueError(f"this inbox needs {error.name}: pip install 'kirimhook[{extra}]'") from error
