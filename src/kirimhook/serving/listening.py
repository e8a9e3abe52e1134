"""A uvicorn server that somebody else starts and stops: sockets are given, signals are none of its business."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import socket
import ssl
from typing import TYPE_CHECKING, Any

import uvicorn

from kirimhook.serving.options import Address, ServeError
from kirimhook.serving.server import bind

if TYPE_CHECKING:
    from kirimhook.serving.server import Tls

ADMIN_CONNECTIONS = 64
OTHER_FILES = 256


class Listener:
    """Starts and stops a uvicorn server on the running loop. Its application gets no lifespan."""

    def __init__(self, server: uvicorn.Server) -> None:
        self._server = server
        self._ticking: asyncio.Task[None] | None = None
        server.config.lifespan = "off"

    async def start(self, bound: socket.socket) -> None:
        """Raises OSError."""
        config = self._server.config
        if not config.loaded:
            config.load()
        self._server.lifespan = config.lifespan_class(config)
        await self._server.startup(sockets=[bound])
        self._ticking = asyncio.create_task(self._server.main_loop())

    async def stop(self) -> None:
        """Accept nothing more; return when requests have their answers, or their time is over."""
        if self._ticking is None:
            return
        self._ticking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._ticking
        self._ticking = None
        await self._server.shutdown(sockets=[])

    def reload_certificate(self, tls: Tls) -> None:
        """New connections get the certificate as the files hold it now. Raises `ServeError`; then the old one stays."""
        check_certificate(tls)
        context = self._server.config.ssl
        if context is not None:
            _load(context, tls)


def open_socket(address: Address) -> socket.socket:
    """Bound, and listening from when a server starts on it. Raises `ServeError`."""
    try:
        return bind(address.host, address.port)
    except OSError as error:
        place = address.url("").removeprefix("://")
        raise ServeError(f"cannot listen on {place}: {error.strerror or error}") from error


def address_of(bound: socket.socket) -> Address:
    host, port = bound.getsockname()[:2]
    return Address(host, port)


def allow_connections(count: int) -> None:
    """Let this process and its children have so many, beside a few files, as far as the system allows it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def admin_server(app: Any) -> uvicorn.Server:
    """Plain HTTP for `AdminApp`, with little room: nobody but an operator's tools asks it."""
    config = uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=ADMIN_CONNECTIONS,
        timeout_graceful_shutdown=1,
    )
    return uvicorn.Server(config)


def check_certificate(tls: Tls) -> None:
    """Raises `ServeError`, saying what is wrong with which file."""
    for path in tls:
        if not os.access(path, os.R_OK):
            raise ServeError(f"cannot read {path}")
    _load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), tls)


def _load(context: ssl.SSLContext, tls: Tls) -> None:
    try:
        context.load_cert_chain(tls.certificate, tls.key, password=_refuse_password)
    except (ssl.SSLError, OSError) as error:
        reason = getattr(error, "reason", None) or error
        raise ServeError(f"{tls.certificate} and {tls.key} are no certificate and its key: {reason}") from error
    except _EncryptedKeyError as error:
        raise ServeError(f"{tls.key} is encrypted: give a key without a password") from error


class _EncryptedKeyError(Exception):
    """OpenSSL asked for a password; on a terminal it would ask the user."""


def _refuse_password() -> str:
    raise _EncryptedKeyError
