"""What one connection may take: time, bytes, room."""

from __future__ import annotations

from dataclasses import dataclass, fields

_KIB = 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Durations in seconds, sizes in bytes. Raises ValueError, naming the field, for what is not above 0."""

    request: float = 10.0
    """From accepting a connection, TLS included, to its first complete request; later: from a request's first byte."""
    handshake: float = 10.0
    """For the TLS handshake alone."""
    answer: float = 30.0
    """From a complete request until its answer is handed to the kernel: a client that does not read is cut."""
    idle: float = 20.0
    """Between an answer and the next request."""
    connections: int = 4096
    """Open at one time; one more is answered 503 and closed."""
    pipelined: int = 32
    """Requests of one connection that wait for the answer to an earlier one."""
    head: int = 16 * _KIB
    """Bytes of a request's head; also of what may come without bringing the body on (trailers, chunk extensions)."""
    headers: int = 100
    url: int = 2 * _KIB

    def __post_init__(self) -> None:
        for field in fields(self):
            if not getattr(self, field.name) > 0:
                raise ValueError(f"{field.name}: must be above 0")
