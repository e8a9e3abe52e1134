"""What `sender` was asked to run. Plain data, checked where it is made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlalchemy.exc import ArgumentError

from kirimhook.sender.database import open_database
from kirimhook.serving.limits import Limits
from kirimhook.serving.options import OptionsError, check_notify
from kirimhook.settings import SenderSettings

if TYPE_CHECKING:
    from pathlib import Path

    from kirimhook.serving.options import Address
    from kirimhook.serving.server import Tls


MAX_URL = 8 * 1024
"""Bytes: a list with every filter and a cursor has to fit."""


@dataclass(frozen=True, slots=True)
class SenderOptions:
    """One `sender`, of `processes` processes."""

    database: str
    listen: Address | None = None
    """Where the API is. None: engine only."""
    tls: Tls | None = None
    ca: Path | None = None
    """The authority to trust, where the certificate is of our own making."""
    dashboard: bool = True
    """Whether the API's socket has the pages for people too."""
    engine: bool = True
    admin: Address | None = None
    processes: int = 1
    master_key_file: Path | None = None
    """None: the environment, or the usual file beside the database."""
    notify: str | None = None
    settings: SenderSettings = field(default_factory=SenderSettings)
    limits: Limits = field(default_factory=lambda: Limits(url=MAX_URL))

    def __post_init__(self) -> None:
        if self.listen is None and not self.engine:
            raise OptionsError("neither an API nor an engine: there is nothing to run")
        _check_database(self.database)
        check_notify(self.notify)


def _check_database(url: str) -> None:
    if ":memory:" in url:
        raise OptionsError("a database in memory ends with its process: name a file, sqlite:///sender.db")
    try:
        open_database(url)
    except (ValueError, ArgumentError) as error:
        raise OptionsError(f"--database: {error}") from error
