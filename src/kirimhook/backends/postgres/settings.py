"""What can be set about a PostgreSQL inbox, and its URL."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from typing import Any, Self

from kirimhook.backends.settings import InboxSettings, options_of

SCHEMES = ("postgresql://", "postgres://")
NAME = re.compile(r"[a-z_][a-z0-9_]{0,47}")
PLACE = frozenset({"dsn"})
CHOICE = "target_session_attrs="
"""What libpq calls which of several hosts; ours is always the one that takes writes."""


@dataclass(frozen=True, slots=True)
class PostgresSettings(InboxSettings):
    """Raises ValueError, naming the field, for a value that cannot be kept. Times are seconds."""

    dsn: str = field(repr=False)
    """The URL without our own options: `postgresql://user@host/database?sslmode=verify-full`."""
    schema: str = "kirimhook_inbox"
    """All tables of one inbox live in it."""
    poll_only: bool = False
    """For a pooler that gives a connection away after each transaction: nothing is kept in a session."""
    transactions: int = 8
    """Handlers that can be inside a transaction at a time; each has a connection."""
    connect_timeout: float = 3.0
    """How long to wait for a new connection."""
    timeout: float = 10.0
    """How long to wait for the answer to a put, a lease or a settlement."""
    read_timeout: float = 60.0
    """How long to wait for what an operator asks."""
    transaction_timeout: float = 300.0
    """How long a handler's statement may take, and its transaction rest between two."""

    def __post_init__(self) -> None:
        InboxSettings.__post_init__(self)
        if not NAME.fullmatch(self.schema):
            raise ValueError("schema: 1 to 48 of a-z, 0-9 and _, not beginning with a digit")

    @classmethod
    def from_url(cls, url: str, **options: Any) -> Self:
        """Options of ours are taken out of the query, all others are the driver's. Keyword options win."""
        if not url.startswith(SCHEMES):
            raise ValueError("inbox URL: write postgresql://user@host/database")
        location, _, query = url.partition("?")
        names = {each.name for each in fields(cls)} - PLACE
        parts = [part for part in query.split("&") if part]
        ours = [part for part in parts if part.partition("=")[0] in names]
        rest = "&".join(part for part in parts if part not in ours and not part.startswith(CHOICE))
        return cls(f"{location}?{rest}" if rest else location, **options_of(cls, "&".join(ours), options, PLACE))
