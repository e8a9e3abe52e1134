"""A handler's effects in the inbox's transaction and the completion of its event are one: both or neither (G4). What it
returns or raises otherwise leaves no effect behind."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kirimhook.receiver.event import Event
from kirimhook.receiver.hooks import HookError, Hooks, Park, Retry, Snooze
from kirimhook.receiver.inbox import Capabilities, Inbox, Transaction
from kirimhook.receiver.model import EventState
from kirimhook.receiver.worker import Worker
from kirimhook.testing.clock import Clock
from tests.receiver.test_worker_leases import Gate, take_over
from tests.receiver.working import a_while, inbound, soon, working

EFFECT = "INSERT INTO effects (event) VALUES (?)"


async def make_table(inbox: Inbox) -> None:
    """Through a handler: nobody else writes to the inbox's file."""
    hooks = Hooks()

    @hooks.on("*", transaction=True)
    def make(event: Event, tx: Transaction) -> None:
        tx.execute("CREATE TABLE effects (event TEXT NOT NULL)")

    await inbox.put([inbound()])
    async with Worker(inbox, hooks) as worker:
        await soon(worker.idle())


def effects(folder: Path) -> list[str]:
    connection = sqlite3.connect(folder / "inbox.db")
    try:
        return [event for (event,) in connection.execute("SELECT event FROM effects ORDER BY rowid")]
    finally:
        connection.close()


plays = st.tuples(
    st.sampled_from(["a", "b", None]),
    st.booleans(),
    st.lists(st.sampled_from(["retry", "snooze", "raise", "exit"]), max_size=3),
    st.sampled_from(["done", "done", "park"]),
)


@settings(max_examples=25)
@given(st.lists(plays, min_size=1, max_size=12), st.integers(1, 4))
def test_effects_are_as_many_as_completions(
    script: Sequence[tuple[str | None, bool, list[str], str]], concurrency: int
) -> None:
    events = [inbound(key, kind="with.effect" if writes else "without.effect") for key, writes, _, _ in script]
    moves = {event.event_id: [*before, end] for event, (_, _, before, end) in zip(events, script, strict=True)}
    hooks = Hooks()

    def play(event: Event) -> Any:
        match moves[event.id].pop(0):
            case "raise":
                raise RuntimeError("after the effect")
            case "exit":
                raise SystemExit(3)
            case "retry":
                return Retry(after=0)
            case "snooze":
                return Snooze(0)
            case "park":
                return Park("after the effect")

    @hooks.on("with.effect", transaction=True)
    def with_effect(event: Event, tx: Transaction) -> Any:
        tx.execute(EFFECT, (event.id,))
        assert tx.execute("SELECT count(*) FROM effects WHERE event = ?", (event.id,)) == [(1,)]
        return play(event)

    @hooks.on("without.effect")
    async def without_effect(event: Event) -> Any:
        return play(event)

    async def main(folder: Path) -> None:
        options: dict[str, Any] = {"retry_delays": (0.0,), "attempts": 100, "concurrency": concurrency}
        async with working(hooks, folder=folder, prepare=make_table, **options) as work:
            await work.handle(*events)
            states = [stored.state for stored in (await work.stored())[1:]]
            assert states == [EventState.PARKED if end == "park" else EventState.DONE for *_, end in script]
            completed = {event.event_id for event, state in zip(events, states, strict=True) if state == "done"}
            written = {event.event_id for event in events if event.type == "with.effect"}
            assert sorted(effects(folder)) == sorted(completed & written)

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(main(Path(folder)))


def test_earlier_events_of_the_run_are_settled_before_the_transaction() -> None:
    hooks = Hooks()

    @hooks.on("first.one")
    async def first(event: Event) -> None: ...

    @hooks.on("second.one", transaction=True)
    def second(event: Event, tx: Transaction) -> None:
        (unfinished,) = tx.execute("SELECT count(*) FROM queue WHERE number < ?", (event.number,))
        assert unfinished == (0,)

    events = [inbound("a", kind=kind) for kind in ("first.one", "first.one", "second.one", "second.one", "first.one")]

    async def main() -> None:
        async with working(hooks) as work:
            await work.handle(*events)
            assert await work.states() == [EventState.DONE] * 5
            assert work.handled() == {"done": 5}

    asyncio.run(main())


def test_a_transaction_that_outlasts_a_renewal_keeps_the_lease_of_its_run() -> None:
    hooks = Hooks()
    gate = Gate()

    @hooks.on("*", transaction=True)
    def handler(event: Event, tx: Transaction) -> None:
        gate.stop_here()  # and with it whoever wants to write, a renewal too

    async def main() -> None:
        async with working(hooks, lease=1.5) as work:
            await work.put(inbound("a"), inbound("a"), inbound("a"))
            await gate.was_reached()
            await a_while(0.7)  # a renewal was due after 0.5
            gate.go.set()
            await soon(work.worker.idle())
            assert await work.states() == [EventState.DONE] * 3
            assert not work.log.named("lease_lost")

    asyncio.run(main())


def test_what_is_no_outcome_is_committed_and_reported() -> None:
    hooks = Hooks()

    @hooks.on("*", transaction=True)
    def handler(event: Event, tx: Transaction) -> str:
        return "ok"

    async def main() -> None:
        async with working(hooks) as work:
            await work.handle(inbound())
            assert await work.states() == [EventState.DONE]
            assert [said["returned"] for said in work.log.named("unknown_outcome")] == ["str"]

    asyncio.run(main())


def test_a_coroutine_is_never_taken_for_done() -> None:
    hooks = Hooks()

    async def effect() -> None: ...

    @hooks.on("*", transaction=True)
    def handler(event: Event, tx: Transaction) -> Any:
        return effect()

    async def main() -> None:
        async with working(hooks) as work:
            await work.handle(inbound())
            assert await work.states() == [EventState.WAITING]
            assert "must not return a coroutine" in str((await work.only()).reason)

    asyncio.run(main())


@pytest.mark.parametrize(("key", "lost"), [("behind it in its run", 1), (None, 2)])
def test_a_lease_lost_before_the_transaction_leaves_no_effect(tmp_path: Path, key: str | None, lost: int) -> None:
    hooks = Hooks()
    clock, gate = Clock(), Gate()

    @hooks.on("first.one")
    async def first(event: Event) -> None:
        gate.stop_here()  # and with it the handlers' loop

    @hooks.on("second.one", transaction=True)
    def second(event: Event, tx: Transaction) -> None:
        tx.execute(EFFECT, (event.id,))

    async def main() -> None:
        async with working(hooks, clock=clock, folder=tmp_path, prepare=make_table, concurrency=2) as work:
            await work.put(inbound(key, kind="first.one"), inbound(key, kind="second.one"))
            await gate.was_reached()
            await take_over(work, clock)
            gate.go.set()
            await asyncio.to_thread(work.log.wait_for, "lease_lost", lost)
            await soon(work.worker.idle())
            assert work.handled() == {}
            assert effects(tmp_path) == []

    asyncio.run(main())


def test_an_inbox_that_fails_is_no_fault_of_the_event(tmp_path: Path) -> None:
    hooks = Hooks()
    clock, gate = Clock(), Gate()
    attempts: list[int] = []

    @hooks.on("first.one")
    async def first(event: Event) -> None:
        gate.stop_here()  # and with it the handlers' loop

    @hooks.on("second.one", transaction=True)
    def second(event: Event, tx: Transaction) -> None:
        attempts.append(event.attempt)
        tx.execute(EFFECT, (event.id,))

    async def main() -> None:
        async with working(hooks, clock=clock, folder=tmp_path, prepare=make_table, concurrency=2) as work:
            await work.put(inbound(kind="first.one"), inbound(kind="second.one"))
            await gate.was_reached()
            await work.inbox.close()
            gate.go.set()
            await asyncio.to_thread(work.log.wait_for, "work_halted")
            assert attempts == []
            await work.inbox.open()
            await soon(work.worker.idle())
            assert work.handled() == {"done": 1, "snoozed": 1}
            clock.advance(5)
            await soon(work.worker.idle())
            assert work.handled() == {"done": 2, "snoozed": 1}
            assert attempts == [1]
            assert len(effects(tmp_path)) == 1

    asyncio.run(main())


class WithoutTransactions:
    """What the worker may look at before it starts: only what the inbox can do."""

    capabilities = Capabilities(transactions=False, durable=True)


def test_an_inbox_without_transactions_is_an_error_at_the_start() -> None:
    hooks = Hooks()

    @hooks.on("*", transaction=True)
    def handler(event: Event, tx: Transaction) -> None: ...

    inbox: Any = WithoutTransactions()
    worker = Worker(inbox, hooks)
    with pytest.raises(HookError, match=r"handler: transaction=True needs an inbox with transactions"):
        worker.start()
    assert not worker.is_running
