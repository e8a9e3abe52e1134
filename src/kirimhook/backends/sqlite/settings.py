"""What can be set about a SQLite inbox, and its URL."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self, get_args

from kirimhook.backends.settings import InboxSettings, options_of

Synchronous = Literal["FULL", "OFF"]


@dataclass(frozen=True, slots=True)
class SQLiteSettings(InboxSettings):
    """Raises ValueError, naming the field, for a value that cannot be kept."""

    path: str
    """`:memory:` keeps everything in this process and loses it with it."""
    busy_timeout: float = 1.0
    """Seconds to wait for a foreign program that holds SQLite's own lock."""
    synchronous: Synchronous = "FULL"
    """OFF breaks the promise that an acknowledged event is durable (G1). For measuring only."""

    def __post_init__(self) -> None:
        if not self.path:
            raise ValueError("path: a SQLite inbox needs a file name, as in sqlite:///inbox.db")
        InboxSettings.__post_init__(self)
        if self.synchronous not in get_args(Synchronous):
            raise ValueError("synchronous: FULL or OFF")

    @classmethod
    def from_url(cls, url: str, **options: Any) -> Self:
        """`sqlite:///path?name=value`. Keyword options win over the URL's."""
        location, _, query = url.partition("?")
        if not location.startswith("sqlite:///"):
            raise ValueError(f"inbox URL {url!r}: write sqlite:///inbox.db, or sqlite:////absolute/inbox.db")
        return cls(location.removeprefix("sqlite:///"), **options_of(cls, query, options, frozenset({"path"})))

    def anchored(self) -> Self:
        """The same file, also when the process changes its working folder."""
        return self if self.in_memory else replace(self, path=str(Path(self.path).absolute()))

    @property
    def in_memory(self) -> bool:
        return self.path == ":memory:"
