"""Connections that are made anew when they are lost, to a server that keeps what it acknowledges."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import asyncpg
from asyncpg.connect_utils import SessionAttribute

from kirimhook.backends.postgres.failures import DRIVER, RETRIED, spoils, state, storage_reason, unavailable
from kirimhook.backends.postgres.migrate import refuse_newer, refuse_older, version
from kirimhook.backends.postgres.settings import PostgresSettings
from kirimhook.receiver.inbox import InboxUnavailable

if TYPE_CHECKING:
    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record]
else:
    Connection = asyncpg.Connection
T = TypeVar("T")

SHORTEST_PAUSE, LONGEST_PAUSE = 0.02, 0.5
"""Seconds between two attempts to connect; whoever asks in between is refused at once."""
TRIES = 4
"""Of a transaction that others undo."""
UNSAFE = """
SELECT string_agg(name || ' = ' || setting, ', ' ORDER BY name) FROM pg_settings
WHERE name IN ('fsync', 'full_page_writes') AND setting = 'off'"""
ASKED = "SET LOCAL plan_cache_mode = force_custom_plan"
"""What operators ask is planned for the tables as they are."""
STANDBY = "SELECT pg_is_in_recovery()"


class Link:
    """One connection, used by one caller at a time. Lives on one loop."""

    def __init__(self, settings: PostgresSettings, timeout: float | None = None) -> None:
        """`timeout`: seconds to wait for an answer, `settings.timeout` by default."""
        self._settings = settings
        self._timeout = timeout = timeout or settings.timeout
        self._opening = {read_only: begin(settings, timeout, read_only=read_only) for read_only in (False, True)}
        self._turn = asyncio.Lock()
        self._connection: Connection | None = None
        self._pause = 0.0
        self._not_before = 0.0
        self._trouble: InboxUnavailable | None = None
        self._is_closed = False

    async def run(self, work: Callable[[Connection], Awaitable[T]], *, read_only: bool = False) -> T:
        """One transaction: a single statement, unless `read_only` or a pooler needs it to be begun and ended.

        Raises `InboxUnavailable`, and what the statement itself does wrong as asyncpg says it.
        """
        for _ in range(TRIES - 1):
            with contextlib.suppress(Undone):
                return await self._run(work, read_only)
        try:
            return await self._run(work, read_only)
        except Undone as error:
            raise unavailable(error.__cause__ or error) from error.__cause__

    @contextlib.asynccontextmanager
    async def held(self) -> AsyncIterator[Connection]:
        """The connection, for a transaction that the caller begins and ends. Raises `InboxUnavailable`."""
        async with self._turn:
            connection = await self._connected()
            try:
                yield connection
            finally:
                if connection.is_in_transaction():
                    self._drop()

    async def close(self) -> None:
        """After what is under way, if that ends soon. Whoever comes later is refused."""
        self._is_closed = True
        await quiet(self._turn, self._settings)
        connection, self._connection = self._connection, None
        await hang_up(connection, self._settings)

    async def _run(self, work: Callable[[Connection], Awaitable[T]], read_only: bool) -> T:
        async with self._turn:
            connection = await self._connected()
            try:
                return await self._transaction(connection, work, read_only)
            except BaseException as error:
                if spoils(error) or connection.is_in_transaction():
                    self._drop()
                if state(error) in RETRIED:
                    raise Undone from error
                if storage_reason(error) is not None:
                    raise unavailable(error) from error
                raise

    async def _transaction(
        self, connection: Connection, work: Callable[[Connection], Awaitable[T]], read_only: bool
    ) -> T:
        if not read_only and not self._settings.poll_only:
            return await work(connection)
        await connection.execute(self._opening[read_only])
        value = await work(connection)
        await connection.execute("COMMIT")
        return value

    async def _connected(self) -> Connection:
        self._refuse_closed()
        if self._connection is not None and not self._connection.is_closed():
            return self._connection
        loop = asyncio.get_running_loop()
        if self._trouble is not None and loop.time() < self._not_before:
            raise unavailable(self._trouble)
        try:
            self._connection = await connect(self._settings, self._timeout)
        except InboxUnavailable as error:
            self._trouble = error
            self._pause = min(max(2 * self._pause, SHORTEST_PAUSE), LONGEST_PAUSE)
            self._not_before = loop.time() + self._pause
            raise
        self._trouble, self._pause = None, 0.0
        self._refuse_closed()  # while this one was made
        return self._connection

    def _refuse_closed(self) -> None:
        if self._is_closed:
            self._drop()
            raise InboxUnavailable("closed", "the inbox was closed meanwhile")

    def _drop(self) -> None:
        """Without a word: the server may not be there to hear it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()


class Undone(Exception):
    """The transaction was undone because of another's."""


def begin(settings: PostgresSettings, timeout: float, *, read_only: bool = False) -> str:
    """What a session says once when it is ours alone, and a transaction when it is not."""
    kind = (
        f"ISOLATION LEVEL REPEATABLE READ READ ONLY; {ASKED}"
        if read_only
        else "READ WRITE, ISOLATION LEVEL READ COMMITTED"
    )
    if not settings.poll_only:
        return f"BEGIN {kind}"
    return f"BEGIN {kind}; " + "; ".join(f"SET LOCAL {name} = '{value}'" for name, value in kept(timeout).items())


def kept(timeout: float) -> dict[str, str]:
    """Settings of a session or a transaction; `timeout` in seconds."""
    milliseconds = str(int(timeout * 1000))
    return {
        "synchronous_commit": "on",
        "statement_timeout": milliseconds,
        "idle_in_transaction_session_timeout": milliseconds,
    }


async def connect(settings: PostgresSettings, timeout: float) -> Connection:
    """To a server that has this inbox and keeps what it acknowledges: of several hosts, the one that takes writes.

    Raises `InboxUnavailable`.
    """
    try:
        async with asyncio.timeout(settings.connect_timeout):
            connection: Connection = await asyncpg.connect(
                settings.dsn,
                timeout=settings.connect_timeout,
                command_timeout=timeout,
                statement_cache_size=0 if settings.poll_only else 100,
                max_cached_statement_lifetime=0,
                server_settings=None if settings.poll_only else _session(settings, timeout),
                target_session_attrs=SessionAttribute.any if settings.poll_only else SessionAttribute.primary,
            )
            try:
                await _check(connection, settings)
            except BaseException:
                connection.terminate()
                raise
    except DRIVER as error:
        raise unavailable(error) from error
    return connection


def _session(settings: PostgresSettings, timeout: float) -> dict[str, str]:
    named = {} if "application_name=" in settings.dsn else {"application_name": "kirimhook inbox"}
    return {**kept(timeout), **named, "default_transaction_isolation": "read committed", "jit": "off"}


async def _check(connection: Connection, settings: PostgresSettings) -> None:
    await connection.execute("BEGIN READ ONLY")  # through a pooler, all of it asks one server
    if await connection.fetchval(STANDBY):
        raise InboxUnavailable("read_only", "the server is a standby")
    if unsafe := await connection.fetchval(UNSAFE):
        raise InboxUnavailable("not_durable", f"the server has {unsafe}, and would lose what was acknowledged")
    found = await version(connection, settings.schema)
    refuse_older(found)
    refuse_newer(found)
    await connection.execute("COMMIT")


async def quiet(turn: asyncio.Lock, settings: PostgresSettings) -> None:
    """Wait for what is under way, if that ends soon."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(settings.connect_timeout), turn:
            pass


async def hang_up(connection: Connection | None, settings: PostgresSettings) -> None:
    """Say goodbye, if there is anybody to say it to."""
    if connection is not None:
        with contextlib.suppress(Exception):
            await connection.close(timeout=settings.connect_timeout)
