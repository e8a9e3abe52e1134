"""One examination under way: whom it calls, what it has sent, what its checks have learnt so far."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kirimhook.operating.doctor import tls
from kirimhook.operating.doctor.bounds import Bounds
from kirimhook.operating.doctor.letters import Letters
from kirimhook.operating.doctor.wire import Answer, Connection, NoAnswer, Request, describe

if TYPE_CHECKING:
    import ssl

    from kirimhook.contract.signature import Secret
    from kirimhook.operating.doctor.place import Place

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a name. Raises OSError where it has none."""


class Spent(Exception):
    """The bound on requests is reached."""


async def resolved(host: str, port: int) -> Sequence[str]:
    """By the system, in its order. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be examined, and how far."""

    place: Place
    secrets: tuple[Secret, ...]
    """At least one."""
    authorities: str | None = None
    """A PEM file of those to trust; None: those of the system."""
    admins: tuple[Place, ...] = ()
    """The admin ports of receivers of ours."""
    probe_events: bool = False
    bounds: Bounds = Bounds()  # noqa: RUF009  # frozen
    clock: Callable[[], float] = time.time
    """Unix seconds."""
    resolver: Resolver = resolved


@dataclass(slots=True)
class Visit:
    """What the checks of one examination share."""

    order: Order
    letters: Letters = field(init=False)
    addresses: Sequence[str] = ()
    address: str = ""
    """The one that everything is sent to, once it has accepted a connection."""
    first: Answer | None = None
    """The answer to the first delivery."""
    first_at: float = 0.0
    """When it was there, in unix seconds."""
    requests: int = 0
    _trust: ssl.SSLContext | None = None

    def __post_init__(self) -> None:
        self.letters = Letters(self.order.secrets, self.order.clock)

    @property
    def place(self) -> Place:
        return self.order.place

    @property
    def bounds(self) -> Bounds:
        return self.order.bounds

    @property
    def is_plain(self) -> bool:
        return self.place.scheme == "http"

    @property
    def now(self) -> float:
        """Seconds, for durations."""
        return asyncio.get_running_loop().time()

    async def dial(self, context: ssl.SSLContext | None) -> Connection:
        """A connection to the examined address; None: plain. Raises OSError, a timeout of one attempt among them."""
        async with asyncio.timeout(self.bounds.attempt):
            return await Connection.open(self.place, self.address, context)

    async def connected(self) -> Connection:
        """As a sender connects. Raises NoAnswer."""
        if self._trust is None and not self.is_plain:
            self._trust = tls.strict(self.order.authorities)
        try:
            return await self.dial(self._trust)
        except OSError as error:
            raise NoAnswer(f"no connection: {describe(error)}") from None

    async def ask(self, request: Request, seconds: float | None = None) -> Answer:
        """Over a connection of its own. Raises NoAnswer, Spent."""
        async with await self.connected() as connection:
            return await self.ask_over(connection, request, seconds)

    async def ask_over(self, connection: Connection, request: Request, seconds: float | None = None) -> Answer:
        """Raises NoAnswer, Spent."""
        self.count()
        return await connection.ask(request, self.bounds.attempt if seconds is None else seconds)

    def count(self, more: int = 1) -> None:
        """So many more requests. Raises Spent, and then none of them may be sent."""
        if self.requests + more > self.bounds.requests:
            raise Spent
        self.requests += more
