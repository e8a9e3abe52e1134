"""A worker starts and stops any number of times, from any loop and thread, in any order, and leaves no thread behind.
Stopping, it finishes what it began, settles what is finished, and gives back what it had not begun."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from kirimhook.backends import open_inbox
from kirimhook.observe import Observer
from kirimhook.receiver.event import Event
from kirimhook.receiver.hooks import Hooks
from kirimhook.receiver.inbox import Inbox
from kirimhook.receiver.model import EventState
from kirimhook.receiver.work import session
from kirimhook.receiver.worker import Worker
from kirimhook.settings import ReceiverSettings
from kirimhook.testing.clock import Clock
from tests.receiver.test_worker_leases import Gate
from tests.receiver.working import MEMORY, SOON, Log, Working, a_while, inbound, kirimhook_threads, soon, until, working


@pytest.fixture(autouse=True)
def no_thread_stays() -> Iterator[None]:
    yield
    assert kirimhook_threads() == []


def quiet(inbox: Inbox, hooks: Hooks, **settings: Any) -> Worker:
    return Worker(inbox, hooks, settings=ReceiverSettings(**settings), observer=Log().observer)


def counting(calls: list[str]) -> Hooks:
    hooks = Hooks()

    @hooks.on("async.one")
    async def in_loop(event: Event) -> None:
        calls.append(event.id)

    @hooks.on("plain.one")
    def in_thread(event: Event) -> None:
        calls.append(event.id)

    return hooks


def test_stop_before_start_double_stop_and_double_start() -> None:
    calls: list[str] = []
    running: list[bool] = []

    async def main() -> None:
        inbox = open_inbox(MEMORY)
        await inbox.open()
        worker = quiet(inbox, counting(calls))
        await worker.stop()
        running.append(worker.is_running)
        for _ in range(2):
            worker.start()
            worker.start()
            running.append(worker.is_running)
            assert len([name for name in kirimhook_threads() if name == "kirimhook-worker"]) == 1
            await inbox.put([inbound(kind="async.one"), inbound(kind="plain.one")])
            await soon(worker.idle())
            await asyncio.gather(worker.stop(), worker.stop())
            await worker.stop()
            running.append(worker.is_running)
            assert kirimhook_threads() == []
        await inbox.close()

    asyncio.run(main())
    assert len(calls) == 4
    assert running == [False, True, False, True, False]


def test_idle_says_when_there_is_no_worker_to_wait_for() -> None:
    gate = Gate()
    hooks = Hooks()

    @hooks.on("*")
    def handler(event: Event) -> None:
        gate.stop_here()

    async def main() -> None:
        async with working(hooks) as work:
            await work.put(inbound())
            await gate.was_reached()
            waiting = asyncio.create_task(work.worker.idle())
            stopping = asyncio.create_task(work.worker.stop())
            await until(lambda: stopped(work.worker))
            with pytest.raises(RuntimeError, match="not running"):
                await work.worker.idle()
            gate.go.set()
            await soon(stopping)
            with pytest.raises(RuntimeError, match="stopped"):
                await soon(waiting)

    async def stopped(worker: Worker) -> bool:
        return not worker.is_running

    asyncio.run(main())


def test_a_start_while_it_stops_begins_when_it_has_stopped() -> None:
    gate = Gate()
    hooks = Hooks()
    running: list[int] = []

    @hooks.on("*")
    def handler(event: Event) -> None:
        running.append(threading.active_count())
        gate.stop_here()

    async def main() -> None:
        async with working(hooks) as work:
            await work.put(inbound())
            await gate.was_reached()
            stopping = asyncio.create_task(work.worker.stop())
            await until(lambda: is_stopping(work.worker))
            work.worker.start()
            await work.put(inbound())
            idle = asyncio.create_task(work.worker.idle())
            await a_while()
            assert len(running) == 1
            assert not stopping.done()
            gate.go.set()
            await soon(stopping)
            await soon(idle)
            assert len(running) == 2
            assert await work.states() == [EventState.DONE] * 2

    async def is_stopping(worker: Worker) -> bool:
        return not worker.is_running

    asyncio.run(main())


def race(worker: Worker, cycles: int, seed: int) -> None:
    """From a loop of its own: starts and stops, many at a time, in random order."""

    async def cycle(draw: random.Random) -> None:
        if draw.random() < 0.5:
            worker.start()
            await asyncio.sleep(0)
        if draw.random() < 0.8:
            await worker.stop(draw.choice([0.0, 5.0]))

    async def main() -> None:
        draw = random.Random(seed)
        for _ in range(cycles):
            await asyncio.gather(*(cycle(draw) for _ in range(3)))

    asyncio.run(main())


@pytest.mark.parametrize("round_number", range(10))
def test_racing_starts_and_stops_lose_nothing_and_leave_nothing(round_number: int) -> None:
    calls: list[str] = []
    events = [inbound("key" if n % 2 else None, kind=("async.one", "plain.one")[n % 2]) for n in range(20)]

    async def main() -> None:
        clock = Clock()
        inbox = open_inbox(MEMORY, clock=clock)
        await inbox.open()
        worker = quiet(inbox, counting(calls))
        with ThreadPoolExecutor(5) as racers:
            races = [
                asyncio.get_running_loop().run_in_executor(racers, race, worker, 10, 5 * round_number + n)
                for n in range(5)
            ]
            for event in events:
                await inbox.put([event])
            await asyncio.wait_for(asyncio.gather(*races), 60)
        await worker.stop()
        assert kirimhook_threads() == []
        async with worker:
            while (await inbox.stats()).counts[EventState.DONE] < len(events):
                clock.advance(31)  # a thread that was left behind has its lease until then
                await soon(worker.idle())
        await inbox.close()

    asyncio.run(main())
    assert set(calls) == {event.event_id for event in events}


def test_stopping_finishes_what_runs_and_gives_back_the_rest() -> None:
    gate = Gate()
    hooks = Hooks()
    calls: list[str] = []

    @hooks.on("*")
    async def handler(event: Event) -> None:
        calls.append(event.id)
        gate.stop_here()  # and with it the handlers' loop: the other run waits behind it

    async def main() -> None:
        events = [inbound("a"), inbound("a"), inbound("b"), inbound("b")]
        async with working(hooks, concurrency=2, prepare=lambda inbox: inbox.put(events)) as work:
            await gate.was_reached()
            stopping = asyncio.create_task(work.worker.stop())
            await asyncio.to_thread(work.log.wait_for, "worker_stopping")
            gate.go.set()
            await soon(stopping)
            assert calls == [events[0].event_id]
            stored = await work.stored()
            assert [each.state for each in stored] == [EventState.DONE] + [EventState.WAITING] * 3
            assert [each.attempts for each in stored] == [1, 0, 0, 0]
            assert work.handled() == {"done": 1, "released": 1}
            work.worker.start()
            await soon(work.worker.idle())
            assert calls[1:] == [events[1].event_id, events[2].event_id, events[3].event_id]

    asyncio.run(main())


def test_what_waits_for_a_handler_is_given_back_at_once() -> None:
    gate = Gate()
    hooks = Hooks()
    calls: list[str] = []

    @hooks.on("*")
    def handler(event: Event) -> None:
        calls.append(event.id)
        if len(calls) == 5:  # by then the worker leases ahead
            gate.stop_here()

    async def main() -> None:
        async with working(hooks, concurrency=1) as work:
            await work.put(*(inbound() for _ in range(9)))
            await gate.was_reached()
            stopping = asyncio.create_task(work.worker.stop())
            await until(lambda: given_back(work))
            assert not stopping.done()
            gate.go.set()
            await soon(stopping)
            states = await work.states()
            assert states.count(EventState.DONE) == len(calls) == 5
            assert states.count(EventState.WAITING) == 4

    async def given_back(work: Working) -> bool:
        return work.handled().get("released", 0) > 0

    asyncio.run(main())


def test_past_its_bound_an_async_handler_is_cancelled_and_released() -> None:
    hooks = Hooks()
    begun = threading.Event()
    ended: list[str] = []

    @hooks.on("*", timeout=None)
    async def handler(event: Event) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(event.id)

    async def main() -> None:
        event = inbound("a")
        async with working(hooks) as work:
            await work.put(event, inbound("a"))
            assert await asyncio.to_thread(begun.wait, SOON)
            await soon(work.worker.stop(timeout=0.02))
            assert ended == [event.event_id]
            stored = await work.stored()
            assert [(each.state, each.attempts) for each in stored] == [(EventState.WAITING, 0)] * 2
            assert work.handled() == {"released": 1}
            (said,) = work.log.named("worker_stopped")
            assert "abandoned" not in said

    asyncio.run(main())


def test_past_its_bound_a_thread_is_left_behind_with_its_lease() -> None:
    hooks = Hooks()
    gate = Gate()

    @hooks.on("*")
    def handler(event: Event) -> None:
        gate.stop_here()

    async def main() -> None:
        async with working(hooks) as work:
            await work.put(inbound())
            await gate.was_reached()
            begun = time.monotonic()
            await work.worker.stop(timeout=0.02)
            assert time.monotonic() - begun < 5
            assert await work.states() == [EventState.RUNNING]
            assert work.log.named("worker_stopped")[0]["abandoned"] == 1
            assert kirimhook_threads() == ["kirimhook-handler-0"]
            gate.go.set()
            await until(no_threads)

    asyncio.run(main())


async def no_threads() -> bool:
    return kirimhook_threads() == []


def test_past_its_bound_a_blocked_loop_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "GRACE", 0.05)
    hooks = Hooks()
    gate = Gate()

    @hooks.on("*")
    async def handler(event: Event) -> None:
        gate.stop_here()

    async def main() -> None:
        async with working(hooks) as work:
            await work.put(inbound(), inbound())
            await gate.was_reached()
            await soon(work.worker.stop(timeout=0.02))
            assert work.log.named("worker_stopped")[0]["abandoned"] == 2
            assert kirimhook_threads() == ["kirimhook-handlers"]
            assert await work.states() == [EventState.RUNNING] * 2
            gate.go.set()
            await until(no_threads)

    asyncio.run(main())


def test_what_handlers_leave_on_the_loop_is_cancelled_at_the_end() -> None:
    hooks = Hooks()
    left: list[asyncio.Task[None]] = []

    async def background() -> None:
        await asyncio.Event().wait()

    @hooks.on("*")
    async def handler(event: Event) -> None:
        left.append(asyncio.create_task(background()))

    async def main() -> None:
        async with working(hooks) as work:
            await work.handle(inbound())
        assert left[0].cancelled()

    asyncio.run(main())


class Defect(BaseException):
    """What nothing in the worker expects."""


class Deaf(Observer):
    """An observer of a user's, with a defect."""

    def event(self, name: str, *, error: BaseException | None = None, **fields: object) -> None:
        if name == "parked":
            raise Defect
        super().event(name, error=error, **fields)


def test_a_worker_that_fails_says_so_and_can_be_started_again() -> None:
    hooks = Hooks()

    @hooks.on("*")
    async def handler(event: Event) -> None: ...

    async def main() -> None:
        inbox = open_inbox(MEMORY)
        await inbox.open()
        log = Log()
        worker = Worker(inbox, hooks, observer=Deaf(log.observer._logger))
        await inbox.put([inbound(problem="not JSON")])
        worker.start()
        with contextlib.suppress(RuntimeError):
            await soon(worker.idle())
        await asyncio.to_thread(log.wait_for, "worker_failed")
        await worker.stop()
        assert not worker.is_running
        worker.start()
        await inbox.put([inbound()])
        await soon(worker.idle())
        assert (await inbox.stats()).counts[EventState.DONE] == 1
        await worker.stop()
        await inbox.close()

    asyncio.run(main())


def test_a_handler_that_breaks_its_executor_costs_only_its_own_event() -> None:
    hooks = Hooks()

    @hooks.on("bad.one")
    async def bad(event: Event) -> None:
        raise GeneratorExit

    @hooks.on("good.one")
    async def good(event: Event) -> None: ...

    async def main() -> None:
        async with working(hooks) as work:
            await work.handle(inbound(kind="bad.one"), inbound(kind="good.one"))
            assert await work.states() == [EventState.RUNNING, EventState.DONE]  # the first until its lease runs out
            await asyncio.to_thread(work.log.wait_for, "handlers_loop_broken")  # its thread comes to that by itself
            assert work.log.named("handlers_loop_broken")

    asyncio.run(main())
