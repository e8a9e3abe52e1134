"""A transport against endpoints on loopback, on either event loop."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from typing import Any, TypeVar

import uvloop

from kirimhook.contract.headers import build
from kirimhook.sender.transport import Exchange, Resolver, Transport
from kirimhook.settings import SenderSettings
from kirimhook.testing.endpoint import Endpoint

T = TypeVar("T")

LOOPS: tuple[Callable[[], asyncio.AbstractEventLoop], ...] = (asyncio.new_event_loop, uvloop.new_event_loop)
LOOP_NAMES = ("asyncio", "uvloop")
SECRET = "5ec12e7" * 9
HEADERS = build(
    source="meta",
    event_type="message.received",
    event_id="wamid.HBgN",
    delivery_id="wbd_01JZ0000000000000000000000",
    attempt=1,
    signature=f"t=1779530400,v1={SECRET}0",
)
BODY = b'{"object":"whatsapp_business_account"}'


def run(main: Coroutine[Any, Any, T], loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop) -> T:
    with asyncio.Runner(loop_factory=loop) as runner:
        return runner.run(main)


def settings(*endpoints: Endpoint, **changes: Any) -> SenderSettings:
    """Trusts the first endpoint's authority, may dial 127/8."""
    given: dict[str, Any] = {"allow_networks": ("127.0.0.0/8",), "attempt_timeout": 10.0}
    if endpoints:
        given["ca_bundle"] = str(endpoints[0].ca)
    return SenderSettings(**(given | changes))


@contextlib.asynccontextmanager
async def opened(*endpoints: Endpoint, resolver: Resolver | None = None, **changes: Any) -> AsyncIterator[Transport]:
    async with Transport(settings(*endpoints, **changes), resolver=resolver) as transport:
        yield transport


async def posted(endpoint: Endpoint, resolver: Resolver | None = None, **changes: Any) -> Exchange:
    """One post of a transport of its own."""
    async with opened(endpoint, resolver=resolver, **changes) as transport:
        return await transport.post(endpoint.url, HEADERS, BODY)


def names(*addresses: str) -> Resolver:
    """A resolver that knows one answer."""

    async def resolver(_: str) -> Sequence[str]:
        return addresses

    return resolver


_made: list[int] | None = None


def _note(event: str, args: tuple[Any, ...]) -> None:
    """An audit hook: unlike connecting, making a socket is audited on uvloop too."""
    if event == "socket.__new__" and _made is not None:
        _made.append(args[1])


sys.addaudithook(_note)


@contextlib.contextmanager
def sockets_made() -> Iterator[list[int]]:
    """The families of all sockets that are made in here, by whatever code and event loop."""
    global _made  # noqa: PLW0603  # an audit hook cannot be taken away
    made: list[int] = []
    _made = made
    try:
        yield made
    finally:
        _made = None
