"""What one attempt came to, and what is noted on the way."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

from aiohttp.client_reqrep import ConnectionKey

from kirimhook.contract.resources import Timing
from kirimhook.sender.transport.urls import Target

MAX_HEADERS = 64
MAX_HEADER_VALUE = 1024
MAX_HEADER_CHARS = 8192
"""What is kept of an answer's headers: so many, so long each, so long together."""


class Exchange(NamedTuple):
    """One attempt: either `status` and what came with it, or `error` and None for the status."""

    started_at: float
    """Unix seconds, by the injected clock."""
    duration_ms: float
    timing: Timing
    address: str | None
    """The address that was dialled, or that the kept-alive connection was dialled to."""
    status: int | None
    retry_after: str | None
    headers: dict[str, str]
    body: bytes
    """The first `max_response` bytes, as they came (never decompressed)."""
    error: str | None
    """One short line."""


class Phase(StrEnum):
    """Where an attempt is; after "while" in the text of a timeout."""

    LOOKUP = "looking up the name"
    CONNECT = "connecting"
    HANDSHAKE = "shaking hands (TLS)"
    ANSWER = "waiting for the answer"
    BODY = "reading the answer"


class Trip:
    """One attempt under way. To aiohttp's pool it is the request: the pool asks for its key and for its proxy."""

    __slots__ = (
        "address",
        "connect",
        "connection_key",
        "dns",
        "ends",
        "first_byte",
        "phase",
        "status",
        "target",
        "tls",
    )

    proxy: None = None

    target: Target
    connection_key: ConnectionKey

    def __init__(self, ends: float) -> None:
        """`ends`: when its time is up, by the loop's clock. Where it leads is set once the URL was parsed."""
        self.ends = ends
        self.phase = Phase.LOOKUP
        self.address: str | None = None
        self.status: int | None = None
        self.dns: float | None = None
        self.connect: float | None = None
        self.tls: float | None = None
        self.first_byte: float | None = None

    def timing(self) -> Timing:
        return Timing(self.dns, self.connect, self.tls, self.first_byte)


def kept_headers(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers as they are recorded: Latin-1, a repeated one joined with a comma, cut to the bounds above."""
    kept: dict[str, str] = {}
    names: dict[bytes, str] = {}
    room = MAX_HEADER_CHARS
    for name, value in raw:
        text = value[:MAX_HEADER_VALUE].decode("latin-1")
        room -= len(name) + len(text)
        if room < 0 or len(kept) >= MAX_HEADERS:
            break
        known = names.setdefault(name.lower(), name.decode("latin-1"))
        kept[known] = f"{kept[known]}, {text}" if known in kept else text
    return kept


def first_header(raw: Iterable[tuple[bytes, bytes]], wanted: bytes) -> str | None:
    """The first value of a header, by its name in lower case; at most 1024 characters of it."""
    for name, value in raw:
        if name.lower() == wanted:
            return value[:MAX_HEADER_VALUE].decode("latin-1")
    return None
