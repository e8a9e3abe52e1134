"""Transact (G4): a handler's statements and the end of its event commit together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, NamedTuple

from kirimhook.backends.postgres.failures import state, storage_reason, unavailable
from kirimhook.backends.postgres.functions.settling import LOST
from kirimhook.backends.postgres.guard import GuardedTransaction, NotInTransaction
from kirimhook.backends.postgres.link import Connection, Link, begin
from kirimhook.backends.postgres.settings import PostgresSettings
from kirimhook.backends.postgres.settling import KINDS, moment, reason
from kirimhook.receiver.inbox import Transaction
from kirimhook.receiver.model import Settlement

ABORTED = "25P02"
"""SQLSTATE of any statement after one that failed."""
Work = Callable[[Transaction], object]


class Ended(NamedTuple):
    """`error` is what the handler raised: a value here, since not every error may travel through an event loop."""

    held: bool
    error: BaseException | None = None


class Transactions:
    """A connection and a thread for each handler that is inside one. Lives on one loop."""

    def __init__(
        self,
        settings: PostgresSettings,
        clock: Callable[[], float],
        run: Callable[[Coroutine[Any, Any, Any]], Future[Any]],
    ) -> None:
        """`run` starts a coroutine on this loop from any thread."""
        self._settings = settings
        self._clock = clock
        self._run = run
        self._free = [Link(settings, settings.transaction_timeout) for _ in range(settings.transactions)]
        self._links = tuple(self._free)
        self._room = asyncio.Semaphore(settings.transactions)
        self._threads = ThreadPoolExecutor(settings.transactions, "kirimhook-transaction")

    async def transact(self, done: Settlement, work: Work) -> Ended:
        """Raises `InboxUnavailable`, `NotInTransaction`."""
        async with self._room:
            link = self._free.pop()
            try:
                async with link.held() as connection:
                    return await self._transact(connection, done, work)
            except Exception as error:
                if storage_reason(error) is not None:
                    raise unavailable(error) from error
                raise
            finally:
                self._free.append(link)

    async def drain(self) -> None:
        """Until none runs; no other begins after it."""
        for _ in self._links:
            await self._room.acquire()

    async def close(self) -> None:
        self._threads.shutdown(wait=False)
        await asyncio.gather(*(link.close() for link in self._links))

    async def _transact(self, connection: Connection, done: Settlement, work: Work) -> Ended:
        await connection.execute(begin(self._settings, self._settings.transaction_timeout))
        sql = f"SELECT {self._settings.schema}.bears($1, $2)"
        if not await connection.fetchval(sql, done.number, done.token):
            await connection.execute("ROLLBACK")
            return Ended(held=False)
        error = await self._handled(connection, work)
        if error is not None:
            with suppress(Exception):  # a connection still in a transaction is not used again
                await connection.execute("ROLLBACK")
            return Ended(held=True, error=error)
        return await self._commit(connection, done)

    async def _handled(self, connection: Connection, work: Work) -> BaseException | None:
        transaction = GuardedTransaction(connection, self._run)

        def call() -> BaseException | None:
            try:
                work(transaction)
            except BaseException as raised:  # it is the caller's
                return raised
            finally:
                transaction.end()
            return None

        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    async def _commit(self, connection: Connection, done: Settlement) -> Ended:
        """With the event's end, in one message: whoever leases waits for no answer of ours in between."""
        try:
            await connection.execute(f"{self._conclusion(done)}; COMMIT")
        except Exception as error:
            if state(error) not in (LOST, ABORTED):
                raise
            await connection.execute("ROLLBACK")
            if state(error) == ABORTED:
                raise NotInTransaction("a statement of the handler failed, and with it its transaction") from error
            return Ended(held=False)
        return Ended(held=True)

    def _conclusion(self, done: Settlement) -> str:
        """With its values in it: such a message takes no parameters."""
        why = reason(done)
        text = "NULL" if why is None else f"convert_from(decode('{why.encode().hex()}', 'hex'), 'UTF8')"
        at = moment(done)
        then = "NULL" if done.then is None else str(int(done.then))
        return (
            f"SELECT {self._settings.schema}.conclude({int(self._clock() * 1000)}, {int(done.token)}, "
            f"{int(done.number)}, {then}, '{KINDS[type(done.outcome)]}', {'NULL' if at is None else int(at)}, {text})"
        )
