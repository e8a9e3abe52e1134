"""What becomes of an event is what its handler returned or raised; without a handler, or with a body that cannot be
parsed, no handler is called. Nothing ends in silence."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import sys
import threading
from collections.abc import Awaitable
from datetime import UTC, datetime
from typing import Any

import pytest

from kirimhook.receiver.event import Event
from kirimhook.receiver.hooks import Hooks, Park, Retry, Snooze
from kirimhook.receiver.model import EventState
from kirimhook.testing.clock import Clock
from tests.receiver.working import SOON, Working, inbound, soon, working

START = 1_800_000_000.0
DELAYS = (5.0, 30.0, 120.0, 600.0, 1800.0, 3600.0, 7200.0, 21_600.0, 50_400.0)


def failing() -> None:
    raise LookupError("no such contact \ud800\0")


def test_a_handler_that_returns_is_done() -> None:
    hooks = Hooks()
    seen: list[Event] = []

    @hooks.on("contact.updated")
    async def handler(event: Event) -> None:
        seen.append(event)

    async def main() -> None:
        first, second = inbound(), inbound()
        async with working(hooks) as work:
            await work.handle(first, second)
            assert sorted(event.id for event in seen) == sorted([first.event_id, second.event_id])
            assert {event.attempt for event in seen} == {1}
            assert await work.states() == [EventState.DONE] * 2
            assert work.handled() == {"done": 2}
            assert [entry["event_id"] for entry in work.log.named("handled")] == [event.id for event in seen]

    asyncio.run(main())


class Callable:
    def __init__(self) -> None:
        self.threads: list[str] = []

    def __call__(self, event: Event) -> None:
        self.threads.append(threading.current_thread().name)

    async def wrapped(self, event: Event) -> None:
        self.threads.append(threading.current_thread().name)


def test_a_plain_function_runs_in_a_thread_and_an_async_one_on_the_handlers_loop() -> None:
    hooks, called = Hooks(), Callable()
    hooks.on("plain.one")(called)
    hooks.on("async.one")(called.wrapped)

    @hooks.on("both.one")
    def both(event: Event) -> Awaitable[None]:  # plain, but what it returns has to be awaited
        return called.wrapped(event)

    async def main() -> None:
        async with working(hooks) as work:
            await work.handle(inbound(kind="plain.one"))
            await work.handle(inbound(kind="async.one"))
            await work.handle(inbound(kind="both.one"))
            assert await work.states() == [EventState.DONE] * 3

    asyncio.run(main())
    assert called.threads == ["kirimhook-handler-0", "kirimhook-handlers", "kirimhook-handlers"]


def test_plain_functions_run_beside_each_other_up_to_the_concurrency() -> None:
    hooks = Hooks()
    barrier = threading.Barrier(3)

    @hooks.on("*")
    def handler(event: Event) -> None:
        barrier.wait(SOON)

    async def main() -> None:
        async with working(hooks, concurrency=3) as work:
            await work.handle(*(inbound() for _ in range(9)))
            assert await work.states() == [EventState.DONE] * 9

    asyncio.run(main())


def test_no_more_handlers_run_than_the_concurrency() -> None:
    hooks = Hooks()
    running = most = 0

    @hooks.on("*")
    async def handler(event: Event) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(5):
            await asyncio.sleep(0)
        running -= 1

    async def main() -> None:
        async with working(hooks, concurrency=4) as work:
            await work.handle(*(inbound() for _ in range(50)))
            assert work.handled() == {"done": 50}

    asyncio.run(main())
    assert most == 4


@pytest.mark.parametrize("kind", ["async", "plain", "transaction"])
@pytest.mark.parametrize(
    ("returned", "state", "label", "in_seconds"),
    [
        (Retry(), EventState.WAITING, "retry", 5.0),
        (Retry(after=77), EventState.WAITING, "retry", 77.0),
        (Snooze(90), EventState.WAITING, "snoozed", 90.0),
        (Snooze(datetime.fromtimestamp(START + 91, UTC)), EventState.WAITING, "snoozed", 91.0),
        (Park("because"), EventState.PARKED, "parked", None),
        ("anything else", EventState.DONE, "done", None),
    ],
)
def test_an_outcome_is_what_the_handler_returned(
    kind: str, returned: Any, state: EventState, label: str, in_seconds: float | None
) -> None:
    hooks = Hooks()
    clock = Clock(START)
    register = hooks.on("*", transaction=kind == "transaction")

    async def async_handler(event: Event) -> Any:
        return returned

    def plain_handler(event: Event, tx: object = None) -> Any:
        return returned

    register(async_handler if kind == "async" else plain_handler)

    async def main() -> None:
        async with working(hooks, clock=clock) as work:
            await work.handle(inbound())
            stored = await work.only()
            assert stored.state is state
            assert work.handled() == {label: 1}
            due = None if in_seconds is None else int((START + in_seconds) * 1000)
            assert stored.due_at == due
            assert stored.attempts == (0 if label == "snoozed" else 1)
            assert stored.reason == ("because" if label == "parked" else stored.reason)

    asyncio.run(main())


def test_what_is_no_outcome_is_reported_once_and_done() -> None:
    hooks = Hooks()

    @hooks.on("*")
    def handler(event: Event) -> str:
        return "ok"

    async def main() -> None:
        async with working(hooks) as work:
            await work.handle(inbound(), inbound())
            assert work.handled() == {"done": 2}
            (said,) = work.log.named("unknown_outcome")
            assert said["returned"] == "str"
            assert said["handler"].endswith("handler")

    asyncio.run(main())


@pytest.mark.parametrize("kind", ["async", "plain", "transaction"])
@pytest.mark.parametrize("error", [LookupError, SystemExit, KeyboardInterrupt, asyncio.CancelledError, StopIteration])
def test_whatever_is_raised_is_a_retry_and_the_worker_lives(kind: str, error: type[BaseException]) -> None:
    hooks = Hooks()
    register = hooks.on("bad.one", transaction=kind == "transaction")

    async def async_handler(event: Event) -> None:
        raise error("of the handler")

    def plain_handler(event: Event, tx: object = None) -> None:
        raise error("of the handler")

    register(async_handler if kind == "async" else plain_handler)

    @hooks.on("good.one")
    async def good(event: Event) -> None: ...

    async def main() -> None:
        async with working(hooks, clock=Clock(START)) as work:
            await work.handle(inbound(kind="bad.one"))
            await work.handle(inbound(kind="good.one"))
            assert work.handled() == {"retry": 1, "done": 1}
            bad, _ = await work.stored()
            assert (bad.state, bad.attempts, bad.due_at) == (EventState.WAITING, 1, int((START + 5) * 1000))
            assert bad.reason is not None
            assert "_handler" in bad.reason
            assert "of the handler" in bad.reason
            (said,) = work.log.named("retry")
            assert said["delay"] == 5.0
            assert said["attempt"] == 1
            assert error.__name__ in said["reason"] or kind == "async"

    asyncio.run(main())


def test_a_task_of_a_handler_that_exits_does_not_end_the_loop_in_silence() -> None:
    hooks = Hooks()

    async def exits() -> None:
        sys.exit(3)

    @hooks.on("bad.one")
    async def handler(event: Event) -> None:
        await asyncio.create_task(exits())

    @hooks.on("good.one")
    async def good(event: Event) -> None: ...

    async def main() -> None:
        async with working(hooks) as work:
            await work.handle(inbound(kind="bad.one"), inbound(kind="good.one"))
            assert work.handled() == {"retry": 1, "done": 1}
            assert work.log.named("handlers_loop_broken")

    asyncio.run(main())


def test_attempts_follow_the_schedule_over_about_a_day_and_the_last_one_parks() -> None:
    hooks = Hooks()
    clock = Clock(START)
    attempts: list[int] = []

    @hooks.on("*")
    async def handler(event: Event) -> None:
        attempts.append(event.attempt)
        failing()

    async def main() -> list[float]:
        waited = []
        async with working(hooks, clock=clock) as work:
            await work.put(inbound())
            for _ in range(9):
                await soon(work.worker.idle())
                due = (await work.only()).due_at
                assert due is not None
                waited.append(due / 1000 - clock())
                clock.advance(waited[-1])
            await soon(work.worker.idle())
            await check(work)
        return waited

    async def check(work: Working) -> None:
        stored = await work.only()
        assert (stored.state, stored.attempts) == (EventState.PARKED, 10)
        assert stored.reason is not None
        assert stored.reason.startswith("gave up after attempt 10: Traceback (most recent call last):")
        assert 'raise LookupError("no such contact' in stored.reason
        assert "kirimhook/receiver/work" not in stored.reason
        assert stored.reason.endswith("LookupError: no such contact \\ud800\\x00\n")
        (said,) = work.log.named("parked")
        assert said["attempt"] == 10
        assert "\n" not in said["reason"]
        assert work.handled() == {"retry": 9, "parked": 1}

    assert asyncio.run(main()) == list(DELAYS)
    assert attempts == list(range(1, 11))
    assert 86_400 * 0.9 < sum(DELAYS) < 86_400 * 1.1


@pytest.mark.parametrize(("draw", "factor"), [(0.0, 0.8), (0.25, 0.9), (1.0 - 2**-53, 1.2)])
def test_delays_are_jittered_by_a_fifth(draw: float, factor: float) -> None:
    hooks = Hooks()

    @hooks.on("*")
    async def handler(event: Event) -> Retry:
        return Retry()

    async def main() -> None:
        async with working(hooks, clock=Clock(START), draw=lambda: draw, retry_delays=(100.0,)) as work:
            await work.handle(inbound())
            due = (await work.only()).due_at
            assert due is not None
            assert abs(due / 1000 - START - 100 * factor) < 0.01

    asyncio.run(main())


def test_a_handler_may_say_how_many_attempts_it_wants() -> None:
    hooks = Hooks()

    @hooks.on("few.attempts", attempts=1)
    async def few(event: Event) -> None:
        failing()

    @hooks.on("many.attempts", attempts=12)
    async def many(event: Event) -> Retry:
        return Retry(after=0, reason="as it said")

    async def main() -> None:
        async with working(hooks) as work:
            await work.handle(inbound(kind="few.attempts"), inbound(kind="many.attempts"))
            few_stored, many_stored = await work.stored()
            assert (few_stored.state, few_stored.attempts) == (EventState.PARKED, 1)
            assert (many_stored.state, many_stored.attempts) == (EventState.PARKED, 12)
            assert many_stored.reason == "gave up after attempt 12: as it said"

    asyncio.run(main())


def test_past_the_schedule_its_last_delay_is_repeated() -> None:
    hooks = Hooks()
    clock = Clock(START)

    @hooks.on("*", attempts=4)
    async def handler(event: Event) -> Retry:
        return Retry()

    async def main() -> None:
        async with working(hooks, clock=clock, retry_delays=(1.0, 7.0)) as work:
            await work.put(inbound())
            for expected in (1.0, 7.0, 7.0):
                await soon(work.worker.idle())
                due = (await work.only()).due_at
                assert due == int((clock() + expected) * 1000)
                clock.advance(expected)
            await soon(work.worker.idle())
            assert await work.states() == [EventState.PARKED]

    asyncio.run(main())


def test_a_snooze_is_no_attempt_and_comes_back_when_it_is_due() -> None:
    hooks = Hooks()
    clock = Clock(START)
    attempts: list[int] = []

    @hooks.on("*")
    async def handler(event: Event) -> Snooze | None:
        attempts.append(event.attempt)
        return Snooze(60) if len(attempts) < 30 else None

    async def main() -> None:
        async with working(hooks, clock=clock) as work:
            await work.put(inbound())
            for _ in range(30):
                await soon(work.worker.idle())
                clock.advance(60)
            assert work.handled() == {"snoozed": 29, "done": 1}

    asyncio.run(main())
    assert attempts == [1] * 30


def test_a_long_traceback_keeps_its_beginning_and_its_end() -> None:
    hooks = Hooks()

    @hooks.on("*", attempts=1)
    async def handler(event: Event) -> None:
        raise ValueError("x" * 50_000 + "the end")

    async def main() -> None:
        async with working(hooks) as work:
            await work.handle(inbound())
            reason = (await work.only()).reason
            assert reason is not None
            assert reason.startswith("gave up after attempt 1: Traceback")
            assert reason.endswith("the end\n")
            assert len(reason) < 8_100

    asyncio.run(main())


def test_an_event_without_a_handler_is_unhandled_counted_and_reported_once_a_type() -> None:
    async def main() -> None:
        async with working(Hooks()) as work:
            await work.handle(inbound("k"), inbound("k"), inbound("k", kind="other.one"))
            assert await work.states() == [EventState.UNHANDLED] * 3
            assert work.handled() == {"unhandled": 3}
            assert [said["type"] for said in work.log.named("no_handler")] == ["contact.updated", "other.one"]

    asyncio.run(main())


def test_what_cannot_be_parsed_is_parked_without_a_call() -> None:
    hooks = Hooks()
    called: list[str] = []

    @hooks.on("*")
    async def handler(event: Event) -> None:
        called.append(event.id)

    async def main() -> None:
        bad, good = inbound("k", body=b"{", problem="not JSON"), inbound("k")
        async with working(hooks) as work:
            await work.handle(bad, good)
            stored = await work.stored()
            assert [each.state for each in stored] == [EventState.PARKED, EventState.DONE]
            assert stored[0].reason == "cannot be parsed: not JSON"
            assert called == [good.event_id]
            assert len(work.log.named("parked")) == 1

    asyncio.run(main())


@pytest.mark.parametrize("dispatched", [False, True])
def test_a_test_delivery_is_dispatched_only_when_asked_for(dispatched: bool) -> None:
    hooks = Hooks()

    @hooks.on("*")
    async def handler(event: Event) -> None:
        assert not event.livemode

    async def main() -> None:
        async with working(hooks, dispatch_test_events=dispatched) as work:
            await work.handle(inbound(livemode=False))
            assert await work.states() == [EventState.DONE if dispatched else EventState.SKIPPED]
            assert work.handled() == {"done" if dispatched else "skipped": 1}

    asyncio.run(main())


def test_an_async_handler_past_its_timeout_is_cancelled_and_retried() -> None:
    hooks = Hooks()
    cleaned_up: list[str] = []

    @hooks.on("slow.one", timeout=0.1)
    async def slow(event: Event) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned_up.append(event.id)

    @hooks.on("slow.cleanup", timeout=0.1)
    async def fails_to_clean_up(event: Event) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            failing()

    @hooks.on("fast.one", timeout=0.1)
    async def fast(event: Event) -> None:
        await asyncio.sleep(0)

    async def main() -> None:
        events = [inbound(kind=name) for name in ("slow.one", "slow.cleanup", "fast.one", "fast.one")]
        async with working(hooks, concurrency=1) as work:
            await work.handle(*events)
            stored = await work.stored()
            assert [each.state for each in stored] == [EventState.WAITING] * 2 + [EventState.DONE] * 2
            assert [each.reason for each in stored[:2]] == ["took longer than 0.1 s"] * 2
            assert cleaned_up == [events[0].event_id]

    asyncio.run(main())


def test_a_handler_that_outlives_its_cancellation_has_the_last_word() -> None:
    hooks = Hooks()

    @hooks.on("*", timeout=0.05)
    async def stubborn(event: Event) -> Park:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            async with asyncio.timeout(SOON):  # works although the task was cancelled once
                await asyncio.sleep(0)
        return Park("after all")

    async def main() -> None:
        async with working(hooks, concurrency=1) as work:
            await work.handle(inbound(), inbound())
            assert [stored.reason for stored in await work.stored()] == ["after all"] * 2

    asyncio.run(main())


def test_a_cancellation_that_was_outlived_does_not_reach_the_next_event() -> None:
    hooks = Hooks()
    cancelling: list[int] = []

    @hooks.on("stubborn.one", timeout=0.05)
    async def stubborn(event: Event) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    @hooks.on("next.one")
    async def following(event: Event) -> None:
        task = asyncio.current_task()
        assert task is not None
        cancelling.append(task.cancelling())
        await asyncio.sleep(0)

    async def main() -> None:
        async with working(hooks) as work:
            await work.handle(inbound("a", kind="stubborn.one"), inbound("a", kind="next.one"))
            assert await work.states() == [EventState.DONE] * 2

    asyncio.run(main())
    assert cancelling == [0]


def test_the_setting_is_the_timeout_of_a_handler_that_names_none_and_none_means_no_bound() -> None:
    hooks = Hooks()
    go = threading.Event()

    @hooks.on("default.timeout")
    async def default(event: Event) -> None:
        await asyncio.Event().wait()

    @hooks.on("no.timeout", timeout=None)
    async def unbounded(event: Event) -> None:
        await asyncio.to_thread(go.wait, SOON)

    async def main() -> None:
        async with working(hooks, handler_timeout=0.05) as work:
            await work.put(inbound(kind="no.timeout"), inbound(kind="default.timeout"))
            await asyncio.to_thread(work.log.wait_for, "retry")
            assert not work.log.named("handled")
            go.set()
            await soon(work.worker.idle())
            assert await work.states() == [EventState.DONE, EventState.WAITING]

    asyncio.run(main())


def test_a_thread_past_its_timeout_is_reported_once_and_its_outcome_counts() -> None:
    hooks = Hooks()
    go = threading.Event()

    @hooks.on("slow.one", timeout=0.02)
    def slow(event: Event) -> Park:
        go.wait(SOON)
        return Park("late, but true")

    @hooks.on("slow.failure", timeout=0.02)
    def slow_failure(event: Event) -> None:
        go.wait(SOON)
        failing()

    @hooks.on("other.one", timeout=0.02)
    async def other(event: Event) -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        async with working(hooks) as work:
            await work.put(inbound(kind="slow.one"), inbound(kind="slow.failure"))
            await asyncio.to_thread(work.log.wait_for, "handler_overdue", 2)
            await work.put(inbound(kind="other.one"))
            await asyncio.to_thread(work.log.wait_for, "retry")  # the watch has looked again since
            go.set()
            await soon(work.worker.idle())
            parked, failed, _ = await work.stored()
            assert parked.reason == "late, but true"
            assert "LookupError" in str(failed.reason)
            assert [said["timeout"] for said in work.log.named("handler_overdue")] == [0.02, 0.02]

    asyncio.run(main())


def test_context_variables_of_one_event_do_not_reach_the_next() -> None:
    hooks = Hooks()
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="clean")
    seen: list[tuple[str, str]] = []

    def look(event: Event) -> None:
        seen.append((event.type, variable.get()))
        variable.set(event.id)

    @hooks.on("async.one")
    async def handler(event: Event) -> None:
        look(event)

    hooks.on("plain.one")(look)

    @hooks.on("transaction.one", transaction=True)
    def in_transaction(event: Event, tx: object) -> None:
        look(event)

    types = ["async.one", "async.one", "plain.one", "plain.one", "transaction.one", "transaction.one"] * 3

    async def main() -> None:
        async with working(hooks, concurrency=1) as work:
            await work.handle(*(inbound("key", kind=name) for name in types))
            await work.handle(*(inbound(kind=name) for name in types))

    asyncio.run(main())
    assert seen[: len(types)] == [(name, "clean") for name in types]  # of one key: in order
    assert sorted(seen[len(types) :]) == sorted((name, "clean") for name in types)


def test_the_meter_knows_how_long_handlers_take_and_how_many_run() -> None:
    hooks = Hooks()
    started, go = threading.Event(), threading.Event()

    @hooks.on("*")
    def handler(event: Event) -> None:
        started.set()
        go.wait(SOON)

    async def main() -> None:
        async with working(hooks) as work:
            await work.put(inbound())
            await asyncio.to_thread(started.wait, SOON)
            assert work.meter.gauges["kirimhook_handlers_running"] == 1
            go.set()
            await soon(work.worker.idle())
            assert sum(work.meter.histogram("kirimhook_handler_seconds").counts) == 1
        assert work.meter.gauges["kirimhook_handlers_running"] == 0

    asyncio.run(main())


def test_what_is_past_its_retention_is_purged_while_the_worker_runs() -> None:
    hooks = Hooks()
    clock = Clock(START)

    @hooks.on("*")
    async def handler(event: Event) -> None: ...

    async def main() -> None:
        async with working(hooks, clock=clock, purge_interval=0.02, purge_batch=2) as work:
            await work.handle(*(inbound() for _ in range(5)))
            clock.advance(8 * 86_400)
            said = await asyncio.to_thread(work.log.wait_for, "purged", 3)
            assert sorted(entry["payloads"] for entry in said) == [1, 2, 2]
            assert work.meter.counter("kirimhook_purged_total")["payloads"] == 5
            assert not any(stored.has_payload for stored in await work.stored())

    asyncio.run(main())
