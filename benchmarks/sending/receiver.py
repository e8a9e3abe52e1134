"""The process that receives: TLS with keep-alive, as fast as Python can, and it keeps what arrived and when.

Every endpoint is a port of its own. What it is to do is told on a plain port: one JSON object a line, answered by one.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import math
import socket
import ssl
import time
from pathlib import Path
from typing import Any

import uvloop

from kirimhook.contract.headers import CONTENT_LENGTH, DELIVERY_ID

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"
END_OF_HEAD = b"\r\n\r\n"
LENGTH = f"\r\n{CONTENT_LENGTH}: ".lower().encode()
ID = f"\r\n{DELIVERY_ID}: ".lower().encode()
BACKLOG = 4096


class Book:
    """What arrived: when (seconds of the system's monotonic clock), its delivery's id, and where."""

    def __init__(self) -> None:
        self.arrivals: list[tuple[float, bytes, int]] = []
        self.connections = 0


class Endpoint:
    """How one of them behaves. `delay` in seconds; infinite: it never answers."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.delay = 0.0


class Reception(asyncio.Protocol):
    """One connection. Requests have a Content-Length and a delivery's id; anything else ends it."""

    def __init__(self, book: Book, endpoint: Endpoint) -> None:
        self._book = book
        self._endpoint = endpoint
        self._transport: Any = None
        self._read = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._book.connections += 1

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # the protocol's signature
        self._transport = None

    def data_received(self, data: bytes) -> None:
        self._read = data = self._read + data if self._read else data
        while (end := data.find(END_OF_HEAD)) >= 0:
            head = data[: end + 2].lower()
            over = end + len(END_OF_HEAD) + int(_value(head, LENGTH))
            if len(data) < over:
                return
            self._book.arrivals.append((time.monotonic(), _value(data[: end + 2], ID, head), self._endpoint.number))
            self._read = data = data[over:]
            self._answer()

    def _answer(self) -> None:
        delay = self._endpoint.delay
        if not delay:
            self._write()
        elif delay < math.inf:
            asyncio.get_running_loop().call_later(delay, self._write)

    def _write(self) -> None:
        if self._transport is not None:
            self._transport.write(ANSWER)


def _value(head: bytes, name: bytes, lower: bytes | None = None) -> bytes:
    """The value of a header. Raises ValueError where there is none."""
    start = (head if lower is None else lower).index(name) + len(name)
    return head[start : head.index(b"\r\n", start)]


class Control:
    """Answers the benchmark's questions."""

    def __init__(self, book: Book, endpoints: list[Endpoint], ports: list[int]) -> None:
        self._book = book
        self._endpoints = endpoints
        self._ports = ports

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(json.dumps(self._do(**json.loads(line))).encode() + b"\n")
            await writer.drain()
        writer.close()

    def _do(self, verb: str, **arguments: Any) -> Any:
        if verb == "behave":
            self._endpoints[arguments["endpoint"]].delay = float(arguments["delay"])
        elif verb == "forget":
            self._book.arrivals.clear()
        elif verb == "write":
            self._write(Path(arguments["path"]))
        return {"arrived": len(self._book.arrivals), "connections": self._book.connections, "ports": self._ports}

    def _write(self, path: Path) -> None:
        with path.open("wb") as file:
            for at, delivery, endpoint in self._book.arrivals:
                file.write(b"%.6f %b %d\n" % (at, delivery, endpoint))


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--control", type=int, required=True, help="the plain port")
    parser.add_argument("--endpoints", type=int, required=True)
    parser.add_argument("--certificate", required=True)
    parser.add_argument("--key", required=True)
    arguments = parser.parse_args()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(arguments.certificate, arguments.key)
    book = Book()
    endpoints = [Endpoint(number) for number in range(arguments.endpoints)]
    listener = socket.create_server(("127.0.0.1", arguments.control))  # first, or an endpoint gets this port
    ports = [await _listen(book, endpoint, context) for endpoint in endpoints]
    gc.freeze()
    gc.disable()  # what arrived is kept, and looking through it again and again shows as pauses of the sender
    control = Control(book, endpoints, ports)
    server = await asyncio.start_server(control.serve, sock=listener)
    await server.serve_forever()


async def _listen(book: Book, endpoint: Endpoint, context: ssl.SSLContext) -> int:
    server = await asyncio.get_running_loop().create_server(
        lambda: Reception(book, endpoint), "127.0.0.1", 0, ssl=context, backlog=BACKLOG
    )
    return int(server.sockets[0].getsockname()[1])


if __name__ == "__main__":
    uvloop.run(main())
