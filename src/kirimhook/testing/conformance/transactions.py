"""Transact (G4): what a handler does in the inbox's transaction, and the end of its event, commit together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from kirimhook.receiver.inbox import NoTransactions, Transaction
from kirimhook.receiver.model import Done, EventState, Lease, RetryAt, Settlement
from kirimhook.testing.conformance.bench import Bench, ids, settlements
from kirimhook.testing.conformance.suite import Suite, played, requires

TABLE = "CREATE TABLE orders (name TEXT PRIMARY KEY)"
ENDING = [
    "COMMIT",
    "commit",
    "END",
    "ROLLBACK",
    "BEGIN",
    "SAVEPOINT mine",
    "  \n\tCOMMIT",
    "-- by the way\nCOMMIT",
    "/* by the way */ COMMIT",
    "; COMMIT",
]


class HandlerBroke(Exception):
    """What the handlers of these tests raise."""


def insert(order: str) -> Callable[[Transaction], object]:
    return lambda transaction: transaction.execute(f"INSERT INTO orders (name) VALUES ('{order}')")


async def make_table(bench: Bench) -> None:
    await bench.put(None, "make the table")
    done = settlements(await bench.one(), Done())[0]
    assert await bench.inbox.transact(done, lambda transaction: transaction.execute(TABLE))


async def orders(bench: Bench) -> list[str]:
    """What is in the table, as a transaction of its own sees it."""
    found: list[str] = []
    await bench.put(None, f"look {bench.now}")
    (lease,) = [one for one in await bench.lease() if one.run[0].event.event_id.startswith("look")]

    def look(transaction: Transaction) -> None:
        found.extend(name for (name,) in transaction.execute("SELECT name FROM orders ORDER BY name"))

    assert await bench.inbox.transact(settlements(lease, Done())[0], look)
    bench.clock.advance(0.001)
    return found


async def leased(bench: Bench, *names: str) -> list[Lease]:
    """Of events without a key, in the order of their names."""
    await make_table(bench)
    await bench.put(None, *names)
    return sorted(await bench.lease(), key=lambda lease: lease.run[0].number)


class Transacting(Suite):
    @played
    async def test_it_has_transactions_or_says_so_before_the_handler_runs(self, bench: Bench) -> None:
        await bench.put(None, "a")
        done = settlements(await bench.one(), Done())[0]
        ran: list[Transaction] = []
        if bench.inbox.capabilities.transactions:
            assert await bench.inbox.transact(done, ran.append) is True
            assert len(ran) == 1
        else:
            with pytest.raises(NoTransactions):
                await bench.inbox.transact(done, ran.append)
            assert ran == []
            assert await bench.inbox.settle([done]) == [True]

    @requires("transactions")
    @played
    async def test_effects_and_completion_commit_together(self, bench: Bench) -> None:
        (lease,) = await leased(bench, "a")
        assert await bench.inbox.transact(settlements(lease, Done())[0], insert("one")) is True
        assert (await bench.get("a")).state is EventState.DONE
        assert await orders(bench) == ["one"]

    @requires("transactions")
    @played
    async def test_a_handler_sees_its_own_effects_and_parameters(self, bench: Bench) -> None:
        (lease,) = await leased(bench, "a")
        seen: list[object] = []

        def work(transaction: Transaction) -> None:
            sql = f"INSERT INTO orders (name) VALUES ({self.placeholder})"
            assert transaction.execute(sql, ["it's"]) == []
            seen.extend(transaction.execute("SELECT name FROM orders"))

        assert await bench.inbox.transact(settlements(lease, Done())[0], work)
        assert seen == [("it's",)]

    @requires("transactions")
    @played
    async def test_an_exception_rolls_back_and_comes_out(self, bench: Bench) -> None:
        (lease,) = await leased(bench, "a")
        error = HandlerBroke("no")

        def work(transaction: Transaction) -> None:
            insert("one")(transaction)
            raise error

        with pytest.raises(HandlerBroke) as raised:
            await bench.inbox.transact(settlements(lease, Done())[0], work)
        assert raised.value is error
        assert await bench.state("a") is EventState.RUNNING
        assert await orders(bench) == []
        assert await bench.end(lease, RetryAt(bench.now, "the lease is still good")) == [True]

    @requires("transactions")
    @pytest.mark.parametrize("error", [StopIteration, KeyboardInterrupt, SystemExit, asyncio.CancelledError])
    @played
    async def test_an_exception_of_any_kind_reaches_its_caller_alone(
        self, bench: Bench, error: type[BaseException]
    ) -> None:
        bad, good = await leased(bench, "bad", "good")

        def work(_transaction: Transaction) -> None:
            raise error

        async def attempt() -> str:
            try:
                await bench.inbox.transact(settlements(bad, Done())[0], work)
            except BaseException as raised:
                return repr(raised)
            return "nothing was raised"

        other = bench.inbox.transact(settlements(good, Done())[0], insert("good"))
        told, done = await asyncio.gather(attempt(), other)
        assert error.__name__ in told
        assert done is True
        assert (await bench.get("bad")).state is EventState.RUNNING
        assert await orders(bench) == ["good"]

    @requires("transactions")
    @played
    async def test_a_broken_statement_is_the_handler_s_own(self, bench: Bench) -> None:
        (lease,) = await leased(bench, "a")
        with pytest.raises(Exception, match="nowhere"):
            await bench.inbox.transact(
                settlements(lease, Done())[0], lambda transaction: transaction.execute("SELECT * FROM nowhere")
            )
        assert await bench.inbox.transact(settlements(lease, Done())[0], insert("one"))

    @requires("transactions")
    @played
    async def test_a_lost_lease_has_no_effects(self, bench: Bench) -> None:
        (lost,) = await leased(bench, "a")
        bench.clock.advance(31)
        (taken,) = await bench.lease()
        assert await bench.inbox.transact(settlements(lost, Done())[0], insert("lost")) is False
        assert await bench.inbox.transact(settlements(taken, Done())[0], insert("taken")) is True
        assert await bench.inbox.transact(settlements(taken, Done())[0], insert("again")) is False
        assert await orders(bench) == ["taken"]

    @requires("transactions")
    @played
    async def test_a_run_goes_on_from_transaction_to_transaction(self, bench: Bench) -> None:
        await make_table(bench)
        await bench.put("k", "a", "b", "c")
        lease = await bench.one()
        numbers = [one.number for one in lease.run]
        for number, then in zip(numbers, [*numbers[1:], None], strict=True):
            assert await bench.inbox.transact(Settlement(lease.token, number, Done(), then), insert(f"{number}"))
        assert await orders(bench) == sorted(map(str, numbers))
        assert ids(await bench.lease()) == []

    @requires("transactions")
    @pytest.mark.parametrize("statement", ENDING)
    @played
    async def test_a_handler_cannot_end_the_transaction(self, bench: Bench, statement: str) -> None:
        (lease,) = await leased(bench, "a")

        def work(transaction: Transaction) -> None:
            insert("one")(transaction)
            transaction.execute(statement)

        with pytest.raises(Exception, match="handler"):
            await bench.inbox.transact(settlements(lease, Done())[0], work)
        assert await bench.state("a") is EventState.RUNNING
        assert await orders(bench) == []

    @requires("transactions")
    @played
    async def test_a_transaction_is_over_when_its_handler_returns(self, bench: Bench) -> None:
        (lease,) = await leased(bench, "a")
        kept: list[Transaction] = []
        assert await bench.inbox.transact(settlements(lease, Done())[0], kept.append)
        with pytest.raises(Exception, match="ended"):
            kept[0].execute("SELECT 1")

    @requires("transactions")
    @played
    async def test_handlers_that_run_together_fail_alone(self, bench: Bench) -> None:
        leases = await leased(bench, *(f"{index:02}" for index in range(20)))

        def work(index: int) -> Callable[[Transaction], None]:
            def run(transaction: Transaction) -> None:
                insert(f"{index:02}")(transaction)
                if index % 3 == 0:
                    raise HandlerBroke

            return run

        results = await asyncio.gather(
            *(bench.inbox.transact(settlements(lease, Done())[0], work(i)) for i, lease in enumerate(leases)),
            bench.put(None, "meanwhile"),
            return_exceptions=True,
        )
        assert [result is True for result in results[:20]] == [index % 3 != 0 for index in range(20)]
        assert await orders(bench) == [f"{index:02}" for index in range(20) if index % 3]
