"""The sender that an operator's command works on: over a database that is there already, and up to date."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from kirimhook import migrations
from kirimhook.cli.failure import Failure, misuse
from kirimhook.contract.errors import ApiError
from kirimhook.sender.database import StorageUnavailable, open_database
from kirimhook.sender.sealing import MasterKeyError, Sealer
from kirimhook.sender.service import Sender
from kirimhook.settings import SenderSettings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from kirimhook.sender.database import Database

T = TypeVar("T")
PATIENCE = {"statement_timeout": 3600.0, "answer_timeout": 3660.0}
"""Seconds: an account of a hundred million deliveries takes as long as it takes; Ctrl-C ends it."""


def with_sender(url: str, work: Callable[[Sender], Awaitable[T]], sealer: Sealer | None = None) -> T:
    """Open the database, do `work`, close it. Raises `Failure`: also for a file that does not exist.

    Without `sealer` nothing that is sealed can be read, which most commands do not need.
    """
    database = _existing(url)
    try:
        return asyncio.run(_within(database, work, sealer or Sealer([Sealer.new_key()])))
    except ApiError as error:
        raise Failure(error.message) from None
    except MasterKeyError as error:
        raise Failure(str(error)) from None
    except StorageUnavailable as error:
        raise Failure(f"the database cannot be used: {error}") from error


def _existing(url: str) -> Database:
    """Not opened yet. A typing error must not make an empty database."""
    try:
        database = open_database(url, **(PATIENCE if url.startswith("postgres") else {}))
        file = make_url(url).database if database.dialect == "sqlite" else None
        if file is not None and not Path(file).is_file():
            raise Failure(f"there is no database {file}: name it with --database, or start `kirimhook sender` first")
        migrations.check(url)
    except (ValueError, ArgumentError) as error:
        raise misuse(f"--database: {error}") from None
    except migrations.WrongRevision as error:
        raise Failure(str(error)) from None
    except StorageUnavailable as error:
        raise Failure(f"the database cannot be used: {error}") from error
    return database


async def _within(database: Database, work: Callable[[Sender], Awaitable[T]], sealer: Sealer) -> T:
    try:
        await database.open()
        return await work(Sender(database, SenderSettings(), sealer))
    finally:
        await database.close()
