"""What can be set about a SQLite inbox, and its URL."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, Self, get_args
from urllib.parse import parse_qsl

Synchronous = Literal["FULL", "OFF"]
MINIMUM_DEDUPE_DAYS = 7
"""Guide, step 4: 7 days covers all retry windows."""
NUMBERS = ("dedupe_days", "payload_days", "max_waiting", "max_waiting_bytes", "commit_bound", "busy_timeout")


@dataclass(frozen=True, slots=True)
class SQLiteSettings:
    """Raises ValueError, naming the field, for a value that cannot be kept."""

    path: str
    """`:memory:` keeps everything in this process and loses it with it."""
    dedupe_days: float = 32
    """How long an event is remembered; a dead letter can be replayed for 30 days."""
    payload_days: float = 7
    """How long the body of a finished event is kept. Parked events keep theirs."""
    max_waiting: int = 8192
    """Events that may wait for a commit; past it a put is refused."""
    max_waiting_bytes: int = 128 * 1024 * 1024
    commit_bound: float = 5.0
    """Seconds a put may wait to be durable."""
    busy_timeout: float = 1.0
    """Seconds to wait for a foreign program that holds SQLite's own lock."""
    synchronous: Synchronous = "FULL"
    """OFF breaks the promise that an acknowledged event is durable (G1). For measuring only."""

    def __post_init__(self) -> None:
        if not self.path:
            raise ValueError("path: a SQLite inbox needs a file name, as in sqlite:///inbox.db")
        for name in NUMBERS:
            _check_number(name, getattr(self, name))
        if self.dedupe_days < MINIMUM_DEDUPE_DAYS:
            raise ValueError(f"dedupe_days: at least {MINIMUM_DEDUPE_DAYS}, or a late retry is handled twice")
        if self.payload_days > self.dedupe_days:
            raise ValueError("payload_days: no more than dedupe_days")
        if self.synchronous not in get_args(Synchronous):
            raise ValueError("synchronous: FULL or OFF")

    @classmethod
    def from_url(cls, url: str, **options: Any) -> Self:
        """`sqlite:///path?name=value`. Keyword options win over the URL's."""
        location, _, query = url.partition("?")
        if not location.startswith("sqlite:///"):
            raise ValueError(f"inbox URL {url!r}: write sqlite:///inbox.db, or sqlite:////absolute/inbox.db")
        types = {field.name: field.type for field in fields(cls) if field.name != "path"}
        given: dict[str, Any] = {}
        for name, text in parse_qsl(query, strict_parsing=True) if query else []:
            if name not in types:
                raise ValueError(f"inbox URL: unknown option {name!r}; known: {', '.join(sorted(types))}")
            given[name] = _converted(name, text, str(types[name]))
        if unknown := options.keys() - types.keys():
            raise ValueError(f"inbox options: unknown {sorted(unknown)}; known: {', '.join(sorted(types))}")
        return cls(location.removeprefix("sqlite:///"), **(given | options))

    def anchored(self) -> Self:
        """The same file, also when the process changes its working folder."""
        return self if self.in_memory else replace(self, path=str(Path(self.path).absolute()))

    @property
    def in_memory(self) -> bool:
        return self.path == ":memory:"


def _check_number(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ValueError(f"{name}: must be a number above 0, not {value!r}")


def _converted(name: str, text: str, kind: str) -> Any:
    try:
        return {"int": int, "float": float}.get(kind, str)(text)
    except ValueError:
        raise ValueError(f"inbox URL: {name}={text!r} is not a number") from None
