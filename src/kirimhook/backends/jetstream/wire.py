"""A connection to the servers that comes back by itself, and the answers to what was sent on it.

nats-py connects: TLS, authentication, pings, its parser. Its own requests cost a task wake-up, a parsed header and
several objects for each answer, and its `close` waits for a server that has stopped reading; so a few of its inner
methods are replaced here, and its minor version is pinned.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import itertools
import random
import secrets
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from nats.aio.client import Client
from nats.errors import SecureConnWantedError

from kirimhook.backends.jetstream.settings import JetStreamSettings
from kirimhook.receiver.inbox import InboxUnavailable

PING_EVERY = 1.0
PINGS_LOST = 2
"""A server that leaves so many pings unanswered is frozen or cut off."""
CONNECT_WITHIN = 2.0
BACKOFF = (0.0, 0.05, 0.1, 0.25, 0.5)
"""Seconds before another round through all servers; the last one repeats."""
SWEEP = 0.05
"""Seconds between looks for answers that are overdue."""
LATE = 0.1
"""Seconds by which such a look may be late itself."""
NOT_ALLOWED = "permissions violation"
REFUSALS = ("authorization", "authentication", "maximum connections", "secure connection", "certificate_verify")
"""What servers say, and nats-py of them, to whom they do not want."""
REPLIES, HINTS = 1, 2
"""Our two subscriptions."""


class Waiter(Protocol):
    """Who waits for an answer. Called on the loop; must not raise."""

    deadline: float
    """By the loop's clock."""

    def take(self, headers: bytes, data: bytes) -> bool:
        """One message of the answer; True: it was the last."""
        ...

    def fail(self, detail: str) -> None:
        """No more of the answer will come. Whether the request was carried out is not known."""
        ...


class Connection(Client):
    """One connection to one server. It never reconnects: `over` is done when it is lost."""

    def __init__(self, deliver: Callable[[int, bytes, bytes, bytes], None], *, secure: bool) -> None:
        super().__init__()
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.trouble: Exception | None = None
        self._deliver = deliver
        self._secure = secure
        self._out: list[bytes] = []

    async def dial(self, server: str, name: str, credentials: str | None, tls: ssl.SSLContext | None) -> None:
        """Raises what went wrong, of any kind."""
        try:
            async with asyncio.timeout(CONNECT_WITHIN):
                await self.connect(
                    [server],
                    name=name,
                    error_cb=self._on_error,
                    allow_reconnect=False,
                    ping_interval=PING_EVERY,  # type: ignore[arg-type]  # it only sleeps for it
                    max_outstanding_pings=PINGS_LOST,
                    user_credentials=credentials,
                    tls=tls,
                )
            if not self.is_connected:  # nats-py takes the end of the connection for the answer to its first ping
                raise ConnectionError("the server hung up")
        except BaseException:
            await self.hang_up()
            raise

    @property
    def clustered(self) -> bool:
        return bool(self._server_info.get("cluster"))

    def send(self, command: bytes) -> None:
        """Soon, with whatever else is sent in this turn of the loop."""
        if not self._out:
            asyncio.get_running_loop().call_soon(self._write)
        self._out.append(command)

    async def hang_up(self) -> None:
        """Without waiting for the server."""
        await self._close(Client.CLOSED, do_cbs=False)

    def _write(self) -> None:
        commands, self._out = self._out, []
        if self._transport is not None and not self.over.done():
            self._transport.writelines(commands)

    async def _on_error(self, error: Exception) -> None:
        self.trouble = error
        if not self.is_connected and not self.over.done():
            raise error  # or nats-py would try for ever within `connect`

    async def _read_loop(self) -> None:
        """Whatever ends it: of a connection that nobody reads, nothing more will come."""
        try:
            await super()._read_loop()
        finally:
            if not self.over.done():
                self.over.set_result(None)

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:  # noqa: ARG002  # the library calls it
        self._deliver(sid, subject, data, headers or b"")

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        if initial_connection and self._secure and not info.get("tls_required"):
            raise SecureConnWantedError  # before the password is sent
        self._server_info = info
        self._max_payload = info.get("max_payload", self._max_payload)

    async def _close(self, status: int, do_cbs: bool = True) -> None:
        if not self.over.done():
            self.over.set_result(None)
        self._pending, self._pending_data_size = [], 0
        writer = getattr(self._transport, "_io_writer", None)
        if writer is not None:
            writer.transport.abort()
        self._transport = None  # nats-py would wait for it to close, which may take for ever
        await super()._close(status, do_cbs)


class Wire:
    """Lives on the loop that `start` is called on."""

    def __init__(self, settings: JetStreamSettings) -> None:
        self._settings = settings
        self._prefix = f"_INBOX.{secrets.token_hex(8)}."
        self._numbers = itertools.count(1)
        self._waiting: dict[int, Waiter] = {}
        self._connection: Connection | None = None
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._sweeping = self._was_late = False
        self._trouble = "not connected"
        self.on_hint: Callable[[], object] = lambda: None
        self.hint_subject = ""

    @property
    def connected(self) -> bool:
        return self._connection is not None

    @property
    def clustered(self) -> bool:
        """Whether the server is one of several."""
        return self._connection is not None and self._connection.clustered

    @property
    def max_payload(self) -> int:
        """Bytes of headers and payload together that the server takes."""
        return self._connection.max_payload if self._connection is not None else 0

    def start(self) -> None:
        """Raises `InboxUnavailable` (`refused`) where a file or a package that the settings need is missing."""
        try:
            tls = ssl.create_default_context(cafile=self._settings.ca) if self._settings.ca else None
            if self._settings.credentials:
                Path(self._settings.credentials).read_bytes()
                importlib.import_module("nkeys")
        except OSError as error:
            raise InboxUnavailable("refused", f"ca or credentials: {error}") from error
        except ModuleNotFoundError as error:
            raise InboxUnavailable("refused", "credentials need one package more: pip install nkeys") from error
        self._task = asyncio.get_running_loop().create_task(self._live(tls))

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def ready(self, deadline: float) -> None:
        """Return when connected. Raises `InboxUnavailable` at `deadline` (the loop's clock)."""
        while self._connection is None:
            if self._task is None:
                raise InboxUnavailable("closed", "open the inbox first")
            try:
                async with asyncio.timeout_at(deadline):
                    await self._changed.wait()
            except TimeoutError:
                raise self._away() from None

    def ask(self, subject: str, payload: bytes, waiter: Waiter, headers: bytes = b"") -> None:
        """Send a request; `waiter` gets what comes back. Raises `InboxUnavailable` when not connected."""
        connection = self._connection
        if connection is None:
            raise self._away()
        number = next(self._numbers)
        self._waiting[number] = waiter
        connection.send(_command(subject, f"{self._prefix}{number}", headers, payload))
        if not self._sweeping:
            self._sweeping = True
            loop = asyncio.get_running_loop()
            loop.call_at(loop.time() + SWEEP, self._sweep, loop.time() + SWEEP)

    def unanswered(self, detail: str) -> tuple[str, str]:
        """Reason and detail of a request that got no answer: what is not allowed is not answered either."""
        said = str(self._connection.trouble or "") if self._connection is not None else ""
        return ("refused", said) if NOT_ALLOWED in said.lower() else ("storage_unavailable", detail)

    def tell(self, subject: str) -> None:
        """Send an empty message; nothing when not connected."""
        if self._connection is not None:
            self._connection.send(_command(subject, "", b"", b""))

    def _away(self) -> InboxUnavailable:
        refused = any(word in self._trouble.lower() for word in REFUSALS)
        return InboxUnavailable("refused" if refused else "storage_unavailable", self._trouble)

    def _deliver(self, sid: int, subject: bytes, data: bytes, headers: bytes) -> None:
        if sid == HINTS:
            self.on_hint()
            return
        number = int(subject[len(self._prefix) :])
        waiter = self._waiting.get(number)
        if waiter is not None and waiter.take(headers, data):
            del self._waiting[number]

    def _sweep(self, due: float) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        late = now > due + LATE and not self._was_late  # our loop is behind: the answers may wait to be read
        self._was_late = late
        if not late:
            for number in [number for number, waiter in self._waiting.items() if waiter.deadline <= now]:
                self._waiting.pop(number).fail("no answer in time")
        self._sweeping = bool(self._waiting)
        if self._sweeping:
            loop.call_at(now + SWEEP, self._sweep, now + SWEEP)

    async def _live(self, tls: ssl.SSLContext | None) -> None:
        rounds = 0
        try:
            while True:
                served = False
                for server in random.sample(self._settings.servers, len(self._settings.servers)):
                    served |= await self._serve(server, tls)
                rounds = 0 if served else rounds + 1
                await asyncio.sleep(BACKOFF[min(rounds, len(BACKOFF) - 1)])
        finally:
            self._fail_all("the inbox was closed")

    async def _serve(self, server: str, tls: ssl.SSLContext | None) -> bool:
        """Be connected to `server` for as long as that lasts. False: it was not at all."""
        connection = Connection(self._deliver, secure=server.startswith("tls://"))
        try:
            await connection.dial(server, f"kirimhook {self._settings.name}", self._settings.credentials or None, tls)
        except Exception as error:  # whatever it is, another server may do
            self._trouble = f"cannot connect: {str(error) or type(error).__name__}"
            return False
        try:
            self._subscribe(connection)
            self._connection = connection
            self._changed.set()
            self.on_hint()  # some may have been lost
            await connection.over
            self._trouble = f"connection lost: {connection.trouble or 'closed by the server'}"
        finally:
            self._connection = None
            self._changed.clear()
            self._fail_all("the connection was lost")
            with contextlib.suppress(Exception):
                await connection.hang_up()
        return True

    def _subscribe(self, connection: Connection) -> None:
        connection.send(f"SUB {self._prefix}* {REPLIES}\r\n".encode())
        if self.hint_subject:
            connection.send(f"SUB {self.hint_subject} {HINTS}\r\n".encode())

    def _fail_all(self, detail: str) -> None:
        waiting, self._waiting = self._waiting, {}
        for waiter in waiting.values():
            waiter.fail(detail)


def _command(subject: str, reply: str, headers: bytes, payload: bytes) -> bytes:
    if headers:
        sizes = f"{len(headers)} {len(headers) + len(payload)}"
        return b"HPUB %b %b %b\r\n%b%b\r\n" % (subject.encode(), reply.encode(), sizes.encode(), headers, payload)
    return b"PUB %b %b %d\r\n%b\r\n" % (subject.encode(), reply.encode(), len(payload), payload)
