"""The uvicorn server that the receiver runs on: configured for it, with limits."""

from __future__ import annotations

import asyncio
import socket
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import uvicorn

from kirimhook.observe import Meter, Observer
from kirimhook.receiver.endpoint import Receiver
from kirimhook.serving.deadlines import Guard, GuardedProtocol
from kirimhook.serving.direct import DirectProtocol
from kirimhook.serving.limits import Limits

if TYPE_CHECKING:
    import os

DRAIN = 10
"""Seconds that requests have to end when the server stops."""


class Tls(NamedTuple):
    """Paths of a certificate chain and its key, both PEM."""

    certificate: str | os.PathLike[str]
    key: str | os.PathLike[str]


class Config(uvicorn.Config):
    """uvicorn's configuration, with what watches over the limits of its server."""

    guard: Guard


def make_config(  # noqa: PLR0913  # what an operator sets
    app: Any,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    limits: Limits | None = None,
    tls: Tls | None = None,
    meter: Meter | None = None,
    observer: Observer | None = None,
) -> Config:
    """Configuration for `Server`: HTTP/1.1 within `limits`, no websockets, no access log, uvloop.

    `port` 0 takes any free one: see `Server.addresses`.
    """
    guard = Guard(limits or Limits(), observer or Observer(), meter or Meter())
    protocol: Any = partial(GuardedProtocol, guard=guard)
    if isinstance(app, Receiver) and app.path is not None:  # with nothing around it that would want to see its messages
        protocol = partial(DirectProtocol, guard=guard, receiver=app)
    config = Config(
        app,
        host=host,
        port=port,
        http=protocol,
        ws="none",
        loop="uvloop",
        lifespan="on",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=DRAIN,
        ssl_certfile=tls.certificate if tls else None,
        ssl_keyfile=tls.key if tls else None,
    )
    config.guard = guard
    return config


class Server(uvicorn.Server):
    """uvicorn's server, whose TLS handshakes are bounded too: uvicorn leaves them the loop's 60 seconds."""

    config: Config

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Host and port of every socket that it listens on, once it has started."""
        listening = (sock for server in self.servers for sock in server.sockets)
        return [sock.getsockname()[:2] for sock in listening]

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Bind, start the application, listen. Raises OSError for an address that cannot be had.

        uvicorn's own startup is told that there is nothing to listen on.
        """
        self.config.guard.make_room()
        bound = sockets or [bind(self.config.host, self.config.port)]
        await super().startup(sockets=[])
        self.started = False
        for listening in bound:
            self.servers.append(await self._listen(listening))
        self.started = True

    async def _listen(self, sock: socket.socket) -> asyncio.base_events.Server:
        config = self.config
        protocol: Any = config.http_protocol_class
        create = partial(protocol, config=config, server_state=self.server_state, app_state=self.lifespan.state)
        return await asyncio.get_running_loop().create_server(
            create,
            sock=sock,
            ssl=config.ssl,
            backlog=config.backlog,
            ssl_handshake_timeout=config.guard.limits.handshake if config.ssl else None,
        )


def bind(host: str, port: int) -> socket.socket:
    """A socket bound to the first address of `host`, not listening yet. Raises OSError."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except BaseException:
        bound.close()
        raise
    return bound
