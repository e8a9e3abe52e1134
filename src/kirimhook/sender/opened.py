"""A sender inside a program of one's own: to publish, in one's own transactions too. Needs no master key."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from kirimhook.sender.database import open_database
from kirimhook.sender.sealing import Sealer
from kirimhook.sender.service import Sender
from kirimhook.settings import SenderSettings


@asynccontextmanager
async def open_sender(
    url: str, settings: SenderSettings | None = None, *, sealer: Sealer | None = None
) -> AsyncIterator[Sender]:
    """The sender over the database at `url`, whose tables are there (`kirimhook migrate`). Delivers nothing itself.

    Without `sealer` (see `kirimhook.sender.sealing.load`) it publishes, reads and makes keys, and cannot make
    subscriptions that an engine could sign for. Raises ValueError for a URL that is none, `StorageUnavailable`.
    """
    database = open_database(url)
    await database.open()
    try:
        yield Sender(database, settings or SenderSettings(), sealer or Sealer([Sealer.new_key()]))
    finally:
        await database.close()
