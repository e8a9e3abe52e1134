"""The database of a process that serves: brought up to date or refused, opened, and its master key checked."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import make_url

from kirimhook import migrations
from kirimhook.sender import sealing
from kirimhook.sender.database import StorageUnavailable
from kirimhook.serving.options import ServeError

if TYPE_CHECKING:
    from kirimhook.observe import Observer
    from kirimhook.sender.database import Database
    from kirimhook.sender.sealing import Sealer
    from kirimhook.serving.sending.options import SenderOptions

KEY_SUFFIX = ".key"


def sealer_of(options: SenderOptions) -> Sealer:
    """A file that was named goes before the environment, and that before the usual file. Raises `ServeError`."""
    named = options.master_key_file
    try:
        if named is not None:
            return sealing.load({}, named)
        return sealing.load(os.environ, usual_key_file(options.database))
    except sealing.MasterKeyError as error:
        raise ServeError(f"the master key: {error}") from error


def usual_key_file(database: str) -> Path | None:
    """Beside the file of the database, whose fate it shares. None for a server: several machines need the same key."""
    url = make_url(database)
    if url.get_backend_name() != "sqlite" or not url.database:
        return None
    return Path(url.database).with_suffix(KEY_SUFFIX)


async def open_up_to_date(database: Database, url: str, observer: Observer) -> None:
    """A file is brought up to date; a server is refused, as others may be using it. Raises `ServeError`."""

    def tell(step: str) -> None:
        observer.event("database_migrating", step=step)

    try:
        if database.dialect == "sqlite":
            await asyncio.to_thread(migrations.migrate, url, tell)
        else:
            await asyncio.to_thread(migrations.check, url)
        await database.open()
    except migrations.WrongRevision as error:
        raise ServeError(str(error)) from error
    except (StorageUnavailable, sqlite3.Error) as error:  # the latter of a file that is no database
        raise ServeError(f"the database cannot be used: {error}") from error
