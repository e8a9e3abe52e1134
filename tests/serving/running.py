"""What the tests of the server share: one that runs in a thread, and raw connections to it."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from kirimhook.observe import Meter, Observer
from kirimhook.serving.limits import Limits
from kirimhook.serving.server import Server, Tls, bind, make_config

SOON = 20.0

Address = tuple[str, int]


class Announced(Server):
    """Says when it listens, or that it cannot."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.settled = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        finally:
            self.settled.set()


@contextmanager
def serving(
    app: Any,
    *,
    limits: Limits | None = None,
    tls: Tls | None = None,
    meter: Meter | None = None,
    observer: Observer | None = None,
    room: int | None = None,
) -> Iterator[Address]:
    """The address of a server on loopback, which has ended when the context has.

    `room` is the bytes of answers that may wait in the kernel for a client to read them.
    """
    server = Announced(make_config(app, limits=limits, tls=tls, meter=meter, observer=observer))
    bound = bind("127.0.0.1", 0)
    if room is not None:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, room)
    thread = threading.Thread(target=server.run, args=[[bound]])
    thread.start()
    try:
        assert server.settled.wait(SOON)
        assert server.started
        yield server.addresses[0]
    finally:
        server.should_exit = True
        thread.join(SOON)
        assert not thread.is_alive()


def dial(address: Address, *, room: int | None = None) -> socket.socket:
    """A connection to it; `room` is the bytes that may wait here to be read."""
    connection = socket.socket()
    connection.settimeout(SOON)
    if room is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
    connection.connect(address)
    return connection


def ask(connection: socket.socket, request: bytes) -> tuple[int, dict[bytes, bytes], bytes]:
    """Send it, and read one answer: status, headers, body."""
    connection.sendall(request)
    return answer(connection)


def answer(connection: socket.socket) -> tuple[int, dict[bytes, bytes], bytes]:
    """One answer. Raises EOFError for a connection that ends before one is complete."""
    read = b""
    while b"\r\n\r\n" not in read:
        read += _more(connection)
    head, _, body = read.partition(b"\r\n\r\n")
    status, *lines = head.split(b"\r\n")
    headers = dict(line.lower().split(b": ", 1) for line in lines)
    while len(body) < int(headers[b"content-length"]):
        body += _more(connection)
    return int(status.split(b" ")[1]), headers, body


def sent_until_cut(connection: socket.socket, request: bytes) -> int:
    """Bytes that went out, one request after the other and no answer read, before the connection was cut."""
    sent = 0
    with suppress(ConnectionError):
        while sent < 50_000_000:
            sent += connection.send(request * 1000)
    return sent


def _more(connection: socket.socket) -> bytes:
    some = connection.recv(65536)
    if not some:
        raise EOFError
    return some


def is_cut(connection: socket.socket) -> bool:
    """Wait until the server ends the connection; False when it answers something first."""
    try:
        return connection.recv(1) == b""
    except (ConnectionError, ssl.SSLError):
        return True
