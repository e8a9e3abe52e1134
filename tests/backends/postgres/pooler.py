"""A transaction pooler, no more than what one does: each transaction of a client runs on whatever server connection
is next, never on the one before.

Speaks PostgreSQL's protocol on a Unix socket. It starts no session with settings of its own, as poolers refuse them.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
import tempfile
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from kirimhook.testing.postgres import USER, PostgresServer

SERVERS = 3
SOCKET = ".s.PGSQL.5432"
TAKEN = {"user", "database", "client_encoding"}
"""What a client may say as it begins; any other parameter would be a setting of its session."""
TLS = 8
"""Length of the question for it: no."""
IDLE = b"I"


class Server:
    """One connection to the real server, ready for a transaction."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, socket: Path, start: bytes) -> tuple[Server, bytes]:
        """With what the server says as it begins."""
        server = cls(*await asyncio.open_unix_connection(str(socket)))
        server.writer.write(start)
        greeting = b""
        while True:
            kind, message = await read_message(server.reader)
            greeting += message
            if kind == b"Z":
                return server, greeting
            assert kind != b"E", message


class Pooler:
    def __init__(self, socket: Path, folder: Path) -> None:
        """`socket` of the server; it listens itself in `folder`."""
        self._socket = socket
        self.folder = folder
        self._all: list[Server] = []
        self._free: deque[Server] = deque()
        self._returned = asyncio.Condition()
        self._greeting = b""
        self.refused: list[str] = []
        self.moves = 0
        """Transactions on another server connection than the client's last one."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client."""
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
                await self._greet(reader, writer)
                await self._serve(reader, writer)
        finally:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        last: Server | None = None
        while True:
            kind, message = await read_message(reader)
            if kind == b"X":
                break
            server = await self._take()
            self.moves += last is not None and server is not last
            last = server
            await self._transaction(server, message, reader, writer)

    async def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        length = TLS
        while length == TLS:
            (length,) = struct.unpack("!i", await reader.readexactly(4))
            start = await reader.readexactly(length - 4)
            if length == TLS:
                writer.write(b"N")
        words = start[4:].rstrip(b"\0").split(b"\0")
        self.refused += {word.decode() for word in words[::2]} - TAKEN
        if not self._greeting:
            for _ in range(SERVERS):
                server, self._greeting = await Server.connect(self._socket, struct.pack("!i", length) + start)
                self._free.append(server)
                self._all.append(server)
        writer.write(self._greeting)

    async def _transaction(
        self, server: Server, message: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Until the server is ready for the next one, and not within a transaction."""
        asking = asyncio.create_task(self._pass_on(server, message, reader))
        try:
            while True:
                kind, answer = await read_message(server.reader)
                writer.write(answer)
                if kind == b"Z" and answer[-1:] == IDLE:
                    break
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        async with self._returned:
            self._free.append(server)
            self._returned.notify()

    async def _pass_on(self, server: Server, message: bytes, reader: asyncio.StreamReader) -> None:
        while True:
            server.writer.write(message)
            message = await read_whole_message(reader)

    async def _take(self) -> Server:
        async with self._returned:
            await self._returned.wait_for(lambda: bool(self._free))
            return self._free.popleft()

    @property
    def url(self) -> str:
        return f"postgresql://{USER}@/{USER}?host={self.folder}"

    def close(self) -> None:
        for server in self._all:
            server.writer.close()


async def read_message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Its kind, and all of it."""
    head = await reader.readexactly(5)
    (length,) = struct.unpack("!i", head[1:])
    return head[:1], head + await reader.readexactly(length - 4)


async def read_whole_message(reader: asyncio.StreamReader) -> bytes:
    return (await read_message(reader))[1]


@contextlib.contextmanager
def pooled(server: PostgresServer) -> Iterator[Pooler]:
    """On a thread of its own, in front of a server's connections to its default database."""
    with tempfile.TemporaryDirectory(prefix="kirimhook-pooler-") as folder:
        pooler = Pooler(server.folder / SOCKET, Path(folder))
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, name="pooler")
        listening = loop.run_until_complete(asyncio.start_unix_server(pooler.serve, str(pooler.folder / SOCKET)))
        thread.start()
        try:
            yield pooler
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            listening.close()
            loop.run_until_complete(ended(loop))
            pooler.close()
            loop.run_until_complete(asyncio.sleep(0))  # in which the transports close
            loop.close()


async def ended(loop: asyncio.AbstractEventLoop) -> None:
    """All that still runs on the loop."""
    others = asyncio.all_tasks(loop) - {asyncio.current_task(loop)}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
