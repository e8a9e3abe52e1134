"""A handler's statements on PostgreSQL: its ways to end a transaction, or to outlast it, are closed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import asyncpg
import pytest

from kirimhook.backends.postgres.guard import NotInTransaction, refuse
from kirimhook.receiver.inbox import InboxUnavailable, Transaction
from kirimhook.receiver.model import EventState, Outcome, Parked, RetryAt, Settlement
from tests.backends.postgres.places import START, Place, done, event, serves

FORBIDDEN = [
    "COMMIT",
    "end",
    "ABORT",
    "START TRANSACTION",
    "SAVEPOINT a",
    "RELEASE a",
    "ROLLBACK TO a",
    "PREPARE TRANSACTION 'a'",
    "DEALLOCATE ALL",
    "DISCARD ALL",
    "SET statement_timeout = 0",
    "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
    "RESET ALL",
    "LISTEN a",
    "UNLISTEN *",
    "COPY a FROM STDIN",
    ";;\t COMMIT",
    "-- a\nCOMMIT",
    "-- a\rCOMMIT",
    "/* a */ COMMIT",
    "/* a /* b */ c */ COMMIT",
    "/**//**/commit",
]
ALLOWED = [
    "SELECT 1",
    "",
    "-- COMMIT",
    "/* COMMIT",
    "/* a */ SELECT 'COMMIT'",
    "/* /* */ COMMIT */ SELECT 1",
    "SET LOCAL statement_timeout = 0",
    "set  constraints all deferred",
    "(SELECT 1)",
    "commits",
]


@pytest.mark.parametrize("statement", FORBIDDEN)
def test_what_ends_or_outlasts_the_transaction_is_refused(statement: str) -> None:
    with pytest.raises(NotInTransaction, match="handler"):
        refuse(statement)


@pytest.mark.parametrize("statement", ALLOWED)
def test_ordinary_statements_are_not(statement: str) -> None:
    assert not is_refused(statement)


def is_refused(statement: str) -> bool:
    try:
        refuse(statement)
    except NotInTransaction:
        return True
    return False


async def play_one(place: Place, work: Callable[[Transaction], Any]) -> Any:
    """What `transact` comes to, on a table of orders; and afterwards the event is as the outcome says."""
    async with place.opened() as inbox, place.outside() as outside:
        await outside.execute(f"CREATE TABLE {place.schema}.orders (name text PRIMARY KEY)")
        await inbox.put([event("a")])
        (settlement,) = done(await inbox.lease(1, 30))
        try:
            told: Any = await inbox.transact(settlement, work)
        except BaseException as error:
            told = error
        stored = await inbox.get(settlement.number)
        assert stored is not None
        orders = await outside.fetchval(f"SELECT count(*) FROM {place.schema}.orders")
        assert (stored.state is EventState.DONE) == (told is True) == (orders == 1)
        return told


def test_a_statement_that_failed_spoils_the_transaction_even_when_its_error_is_swallowed(place: Place) -> None:
    def work(transaction: Transaction) -> None:
        transaction.execute(f"INSERT INTO {place.schema}.orders VALUES ('a')")
        with pytest.raises(asyncpg.UniqueViolationError):
            transaction.execute(f"INSERT INTO {place.schema}.orders VALUES ('a')")
        with pytest.raises(asyncpg.InFailedSQLTransactionError):
            transaction.execute("SELECT 1")

    told = asyncio.run(play_one(place, work))
    assert isinstance(told, NotInTransaction)
    assert "a statement of the handler failed" in str(told)


def test_several_statements_in_one_are_refused_by_the_server(place: Place) -> None:
    """Or the second could be one that the first hides."""

    def work(transaction: Transaction) -> None:
        transaction.execute(f"INSERT INTO {place.schema}.orders VALUES ('a'); COMMIT")

    assert isinstance(asyncio.run(play_one(place, work)), asyncpg.PostgresSyntaxError)


def test_a_block_of_code_cannot_commit(place: Place) -> None:
    def work(transaction: Transaction) -> None:
        transaction.execute(f"DO $$ BEGIN INSERT INTO {place.schema}.orders VALUES ('a'); COMMIT; END $$")

    told = asyncio.run(play_one(place, work))
    assert isinstance(told, asyncpg.InvalidTransactionTerminationError)


def test_a_connection_that_is_lost_meanwhile_undoes_it(place: Place) -> None:
    """The handler may notice, or not: either way nothing of it is there, and the next one has a connection."""

    async def play() -> None:
        async with place.opened() as inbox, place.outside() as outside:
            await outside.execute(f"CREATE TABLE {place.schema}.orders (name text)")
            await inbox.put([event("a")])
            (settlement,) = done(await inbox.lease(1, 30))
            loop = asyncio.get_running_loop()

            def work(transaction: Transaction) -> None:
                transaction.execute(f"INSERT INTO {place.schema}.orders VALUES ('a')")
                ((process,),) = transaction.execute("SELECT pg_backend_pid()")
                end = outside.fetchval("SELECT pg_terminate_backend($1, 10000)", process)
                assert asyncio.run_coroutine_threadsafe(end, loop).result()

            with pytest.raises(InboxUnavailable):
                await inbox.transact(settlement, work)
            assert await outside.fetchval(f"SELECT count(*) FROM {place.schema}.orders") == 0
            insert = f"INSERT INTO {place.schema}.orders VALUES ('b')"
            assert await serves(lambda: inbox.transact(settlement, lambda transaction: transaction.execute(insert)))
            assert await outside.fetchval(f"SELECT count(*) FROM {place.schema}.orders") == 1

    asyncio.run(play())


def test_more_handlers_than_connections_take_turns(place: Place) -> None:
    async def play() -> None:
        async with place.opened(transactions=2) as inbox:
            await inbox.put([event(f"{number}") for number in range(20)])
            ends = done(await inbox.lease(100, 30))
            told = await asyncio.gather(*(inbox.transact(end, lambda transaction: None) for end in ends))
            assert told == [True] * 20
            assert (await inbox.stats()).counts[EventState.DONE] == 20

    asyncio.run(play())


def test_any_outcome_can_end_a_transaction(place: Place) -> None:
    """The port says a settlement, so not only that it is done; and whatever its reason holds."""

    async def play() -> None:
        async with place.opened() as inbox:
            await inbox.put([event("parked"), event("later")])
            leases = await inbox.lease(10, 30)
            later = int(START * 1000) + 5
            outcomes: list[Outcome] = [Parked("'); \0 \ud800 é"), RetryAt(later, "")]
            for lease, outcome in zip(leases, outcomes, strict=True):
                settlement = Settlement(lease.token, lease.run[0].number, outcome)
                assert await inbox.transact(settlement, lambda transaction: None)
            parked, retried = [await inbox.get(lease.run[0].number) for lease in leases]
            assert parked is not None
            assert retried is not None
            assert (parked.state, parked.reason) == (EventState.PARKED, "'); \\x00 \\ud800 é")
            assert (retried.due_at, retried.reason, retried.attempts) == (later, "", 1)

    asyncio.run(play())
