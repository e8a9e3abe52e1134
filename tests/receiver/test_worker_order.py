"""Events of one ordering key are handled one at a time and in the order in which they were stored, whatever their
handlers do and however many workers there are (G5). Keys do not wait for each other."""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from kirimhook.receiver.event import Event
from kirimhook.receiver.hooks import Hooks, Park, Retry, Snooze
from kirimhook.receiver.model import EventState, InboundEvent
from kirimhook.receiver.worker import Worker
from kirimhook.settings import ReceiverSettings
from tests.receiver.working import SOON, inbound, soon, working

KINDS = ("async.one", "plain.one", "transaction.one")
ENDS = {"done": EventState.DONE, "park": EventState.PARKED}
UNFINISHED = {EventState.WAITING, EventState.RUNNING}

held_back = st.sampled_from(["retry", "snooze", "raise"])
scripts = st.tuples(
    st.sampled_from(["a", "b", "c", None]),
    st.sampled_from(KINDS),
    st.lists(held_back, max_size=3),
    st.sampled_from(["done", "done", "park"]),
)


class Stage:
    """Plays a script for each event and watches: one event at a time for a key, and every call."""

    def __init__(self) -> None:
        self.scripts: dict[str, list[str]] = {}
        self.calls: defaultdict[str | None, list[tuple[str, str]]] = defaultdict(list)
        self.running: set[str] = set()
        self.overlaps: list[str] = []
        self._guard = threading.Lock()

    def begin(self, event: Event) -> str:
        with self._guard:
            done = sum(event.id == called for called, _ in self.calls[event.ordering_key])
            move = self.scripts[event.id][done]
            self.calls[event.ordering_key].append((event.id, move))
            if event.ordering_key is not None:
                if event.ordering_key in self.running:
                    self.overlaps.append(event.ordering_key)
                self.running.add(event.ordering_key)
        return move

    def end(self, event: Event, move: str) -> Retry | Snooze | Park | None:
        with self._guard:
            self.running.discard(event.ordering_key or "")
        if move == "raise":
            raise RuntimeError(move)
        outcomes: dict[str, Retry | Snooze | Park] = {"retry": Retry(after=0), "snooze": Snooze(0), "park": Park(move)}
        return outcomes.get(move)

    def hooks(self) -> Hooks:
        hooks = Hooks()

        @hooks.on("async.one")
        async def in_loop(event: Event) -> object:
            move = self.begin(event)
            await asyncio.sleep(0)
            return self.end(event, move)

        @hooks.on("plain.one")
        def in_thread(event: Event) -> object:
            return self.end(event, self.begin(event))

        @hooks.on("transaction.one", transaction=True)
        def in_transaction(event: Event, tx: object) -> object:
            return self.end(event, self.begin(event))

        return hooks


@settings(max_examples=60)
@given(
    st.lists(scripts, min_size=1, max_size=14),
    st.integers(0, 14),
    st.integers(1, 4),
    st.booleans(),
)
def test_every_key_is_played_in_order_one_event_at_a_time(
    plays: list[tuple[str | None, str, list[str], str]], before: int, concurrency: int, second_worker: bool
) -> None:
    stage = Stage()
    events: list[InboundEvent] = []
    for key, kind, moves, end in plays:
        events.append(inbound(key, kind=kind))
        stage.scripts[events[-1].event_id] = [*moves, end]

    async def main() -> list[EventState]:
        tuning: dict[str, Any] = {"concurrency": concurrency, "retry_delays": (0.0,), "attempts": 100}
        hooks = stage.hooks()
        async with working(hooks, prepare=lambda inbox: inbox.put(events[:before]), **tuning) as work:
            other = Worker(work.inbox, hooks, settings=ReceiverSettings(**tuning))
            if second_worker:
                other.start()
            await work.put(*events[before:])
            await soon(work.worker.idle())
            while second_worker and {*await work.states()} & UNFINISHED:
                await soon(other.idle())
                await soon(work.worker.idle())
            await other.stop()
            return await work.states()

    states = asyncio.run(main())
    expected: defaultdict[str | None, list[tuple[str, str]]] = defaultdict(list)
    for (key, _, moves, end), event in zip(plays, events, strict=True):
        expected[key] += [(event.event_id, move) for move in (*moves, end)]
    assert stage.overlaps == []
    for key in expected.keys() - {None}:
        assert stage.calls[key] == expected[key]
    assert sorted(stage.calls[None]) == sorted(expected[None])
    assert states == [ENDS[end] for *_, end in plays]


def test_a_key_that_is_held_back_holds_no_other() -> None:
    hooks = Hooks()
    go = threading.Event()
    seen: list[str] = []

    @hooks.on("slow.one")
    def slow(event: Event) -> None:
        go.wait(SOON)
        seen.append(event.type)

    @hooks.on("*")
    async def fast(event: Event) -> Retry | None:
        seen.append(event.type)
        return Retry(after=1000) if event.type == "held.one" else None

    events = [
        inbound("a", kind="slow.one"),
        inbound("a", kind="behind.slow"),
        inbound("b", kind="held.one"),
        inbound("b", kind="behind.held"),
        inbound("c", kind="free.one"),
        inbound("c", kind="free.two"),
    ]

    async def main() -> None:
        async with working(hooks) as work:
            await work.put(*events)
            await asyncio.to_thread(work.log.wait_for, "handled", 2)
            assert sorted(seen) == ["free.one", "free.two", "held.one"]
            go.set()
            await soon(work.worker.idle())
            assert seen[3:] == ["slow.one", "behind.slow"]
            assert (await work.states())[2:4] == [EventState.WAITING] * 2

    asyncio.run(main())


def test_a_parked_event_lets_those_behind_it_go_on() -> None:
    hooks = Hooks()

    @hooks.on("*", attempts=1)
    async def handler(event: Event) -> None:
        if event.type == "bad.one":
            raise RuntimeError("bad")

    events = [inbound("a", kind="bad.one" if number % 2 else "good.one") for number in range(6)]

    async def main() -> None:
        async with working(hooks) as work:
            await work.handle(*events)
            assert await work.states() == [EventState.DONE, EventState.PARKED] * 3

    asyncio.run(main())
