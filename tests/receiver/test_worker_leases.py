"""A worker keeps its leases while its handlers run, whatever they do; once a lease is lost, nothing it does about the
event counts. An event that was under a lease when its worker died has had an attempt."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from kirimhook.receiver.event import Event
from kirimhook.receiver.hooks import Hooks
from kirimhook.receiver.inbox import Inbox
from kirimhook.receiver.model import Done, EventState, Lease, Settlement
from kirimhook.testing.clock import Clock
from tests.receiver.working import SOON, Working, a_while, inbound, soon, until, working

START = 1_800_000_000.0


class Gate:
    """A handler's halt, in a thread or right on the handlers' loop."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.go = threading.Event()

    def stop_here(self) -> None:
        self.reached.set()
        assert self.go.wait(SOON)

    async def was_reached(self) -> None:
        assert await asyncio.to_thread(self.reached.wait, SOON)


async def take_over(work: Working, clock: Clock, seconds: float = 31) -> Lease:
    """As another worker does when a lease runs out; a renewal may come in between, then once more."""
    while True:
        clock.advance(seconds)
        leases = await work.inbox.lease(10, 1000)
        if leases:
            return leases[0]


@pytest.mark.parametrize("kind", ["blocks its loop", "plain", "waits"])
def test_a_handler_that_takes_longer_than_its_lease_keeps_it(kind: str) -> None:
    hooks = Hooks()
    clock, gate = Clock(START), Gate()

    async def blocking(event: Event) -> None:
        gate.stop_here()

    def plain(event: Event) -> None:
        gate.stop_here()

    async def waiting(event: Event) -> None:
        await asyncio.to_thread(gate.stop_here)

    hooks.on("*")({"blocks its loop": blocking, "plain": plain, "waits": waiting}[kind])

    async def main() -> None:
        async with working(hooks, clock=clock, lease=0.3) as work:
            await work.put(inbound("a"), inbound("a"))
            await gate.was_reached()
            for _ in range(5):  # each time for less than a lease, together for more than four
                clock.advance(0.28)
                await until(lambda: renewed(work))
            gate.go.set()
            await soon(work.worker.idle())
            assert await work.states() == [EventState.DONE] * 2
            assert [stored.attempts for stored in await work.stored()] == [1, 1]
            assert not work.log.named("lease_lost")

    async def renewed(work: Working) -> bool:
        assert await work.inbox.lease(10, 1000) == []
        due = (await work.stored())[0].due_at
        assert due is not None
        return due >= int((clock() + 0.3) * 1000)

    asyncio.run(main())


def test_a_result_under_a_lost_lease_is_refused_and_never_counted() -> None:
    hooks = Hooks()
    clock, gate = Clock(START), Gate()

    @hooks.on("*")
    def handler(event: Event) -> None:
        gate.stop_here()

    async def main() -> None:
        async with working(hooks, clock=clock) as work:
            await work.put(inbound("a"))
            await gate.was_reached()
            other = await take_over(work, clock)
            assert [leased.attempt for leased in other.run] == [2]
            gate.go.set()
            (said,) = await asyncio.to_thread(work.log.wait_for, "lease_lost")
            assert said["event_id"] == other.run[0].event.event_id
            await soon(work.worker.idle())
            assert work.handled() == {}
            assert work.meter.counter("kirimhook_leases_lost_total") == {"": 1}
            assert not work.log.named("handled")
            assert await work.states() == [EventState.RUNNING]
            assert await work.inbox.settle([Settlement(other.token, other.run[0].number, Done())]) == [True]
            assert (await work.only()).attempts == 2

    asyncio.run(main())


def test_a_renewal_that_is_refused_ends_the_run_before_its_next_event() -> None:
    hooks = Hooks()
    clock, gate = Clock(START), Gate()
    begun: list[str] = []

    @hooks.on("*")
    async def handler(event: Event) -> None:
        begun.append(event.id)
        gate.stop_here()

    async def main() -> None:
        first, second = inbound("a"), inbound("a")
        async with working(hooks, clock=clock, lease=0.3) as work:
            await work.put(first, second)
            await gate.was_reached()
            await take_over(work, clock)
            await asyncio.to_thread(work.log.wait_for, "lease_lost")  # while the handler still runs
            gate.go.set()
            await soon(work.worker.idle())
            assert begun == [first.event_id]
            assert work.handled() == {}
            assert len(work.log.named("lease_lost")) == 1

    asyncio.run(main())


def test_an_expired_lease_counts_as_an_attempt() -> None:
    hooks = Hooks()
    clock = Clock(START)
    attempts: list[int] = []

    @hooks.on("*")
    async def handler(event: Event) -> None:
        attempts.append(event.attempt)

    async def abandoned(inbox: Inbox) -> None:
        await inbox.put([inbound()])
        for _ in range(3):
            assert len(await inbox.lease(10, 30)) == 1
            clock.advance(31)

    async def main() -> None:
        async with working(hooks, clock=clock, prepare=abandoned) as work:
            await soon(work.worker.idle())
            stored = await work.only()
            assert (stored.state, stored.attempts) == (EventState.DONE, 4)

    asyncio.run(main())
    assert attempts == [4]


def test_after_its_last_attempt_an_abandoned_event_is_parked_without_another() -> None:
    hooks = Hooks()
    clock = Clock(START)
    begun: list[str] = []

    @hooks.on("*", attempts=3)
    async def handler(event: Event) -> None:
        begun.append(event.id)

    async def abandoned(inbox: Inbox) -> None:
        await inbox.put([inbound()])
        for _ in range(3):
            assert len(await inbox.lease(10, 30)) == 1
            clock.advance(31)

    async def main() -> None:
        async with working(hooks, clock=clock, prepare=abandoned) as work:
            await soon(work.worker.idle())
            stored = await work.only()
            assert stored.state is EventState.PARKED
            assert stored.reason == "gave up after attempt 3: its worker died, or its lease ran out"
            assert begun == []

    asyncio.run(main())


def test_a_suspect_waits_for_what_is_running_and_runs_with_nothing_beside_it() -> None:
    hooks = Hooks()
    clock = Clock(START)
    gates = {"early.one": Gate(), "suspect.one": Gate()}
    trace: list[str] = []

    @hooks.on("*")
    def handler(event: Event) -> None:
        trace.append(f"{event.type} begins")
        if event.type in gates:
            gates[event.type].stop_here()
        trace.append(f"{event.type} ends")

    async def held_elsewhere(inbox: Inbox) -> None:
        await inbox.put([inbound(kind="suspect.one")])
        assert len(await inbox.lease(10, 5)) == 1
        clock.advance(6)
        assert len(await inbox.lease(10, 5)) == 1

    async def main() -> None:
        async with working(hooks, clock=clock, prepare=held_elsewhere) as work:
            await work.put(inbound(kind="early.one"))
            await gates["early.one"].was_reached()
            clock.advance(6)
            await asyncio.to_thread(work.log.wait_for, "suspect")
            await work.put(inbound(kind="late.one"), inbound(kind="late.one"))
            await a_while()
            assert trace == ["early.one begins"]
            gates["early.one"].go.set()
            await gates["suspect.one"].was_reached()
            gates["suspect.one"].go.set()
            await soon(work.worker.idle())
            assert work.handled() == {"done": 4}

    asyncio.run(main())
    alone = ["early.one begins", "early.one ends", "suspect.one begins", "suspect.one ends"]
    assert trace[:4] == alone
    assert sorted(trace[4:]) == ["late.one begins"] * 2 + ["late.one ends"] * 2


def test_a_worker_that_could_not_renew_begins_nothing_more_under_that_lease(tmp_path: Path) -> None:
    hooks = Hooks()
    gate = Gate()
    attempts: list[tuple[str, int]] = []

    @hooks.on("*")
    def handler(event: Event) -> None:
        attempts.append((event.id, event.attempt))
        if len(attempts) == 1:
            gate.stop_here()

    async def main() -> None:
        first, second = inbound("a"), inbound("a")
        async with working(hooks, folder=tmp_path, lease=0.3) as work:
            await work.put(first, second)
            await gate.was_reached()
            await work.inbox.close()
            await asyncio.to_thread(work.log.wait_for, "work_halted")
            await a_while(0.4)  # longer than the lease
            gate.go.set()
            await work.inbox.open()
            await until(lambda: finished(work))
            assert attempts == [(first.event_id, 1), (second.event_id, 2)]
            assert work.handled() == {"done": 2}
            assert len(work.log.named("lease_lost")) == 1

    async def finished(work: Working) -> bool:
        return await work.states() == [EventState.DONE] * 2

    asyncio.run(main())
