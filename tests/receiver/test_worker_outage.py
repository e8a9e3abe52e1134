"""While the inbox is unavailable a worker says so once, waits, keeps what is finished, and settles it afterwards."""

from __future__ import annotations

import asyncio
from pathlib import Path

from kirimhook.receiver.event import Event
from kirimhook.receiver.hooks import Hooks
from kirimhook.receiver.model import EventState
from tests.receiver.test_worker_leases import Gate
from tests.receiver.working import inbound, soon, working


def test_what_finished_during_an_outage_is_settled_after_it(tmp_path: Path) -> None:
    hooks = Hooks()
    gate = Gate()
    called: list[str] = []

    @hooks.on("*")
    def handler(event: Event) -> None:
        called.append(event.id)
        gate.stop_here()

    async def main() -> None:
        events = [inbound(), inbound("a"), inbound("a")]
        async with working(hooks, folder=tmp_path) as work:
            await work.put(*events)
            await gate.was_reached()
            await work.inbox.close()
            gate.go.set()
            (said,) = await asyncio.to_thread(work.log.wait_for, "work_halted")
            assert said["reason"].startswith("closed")
            assert work.handled() == {}
            await work.inbox.open()
            await soon(work.worker.idle())
            assert await work.states() == [EventState.DONE] * 3
            assert work.handled() == {"done": 3}
            assert len(called) == 3
            assert len(work.log.named("work_halted")) == len(work.log.named("work_resumed")) == 1

    asyncio.run(main())


def test_a_worker_may_start_before_its_inbox_and_comes_to_work_when_it_opens(tmp_path: Path) -> None:
    hooks = Hooks()

    @hooks.on("*")
    async def handler(event: Event) -> None: ...

    async def main() -> None:
        async with working(hooks, folder=tmp_path) as work:
            await work.put(inbound())
            await soon(work.worker.idle())
            await work.worker.stop()
            await work.inbox.close()
            work.worker.start()
            await asyncio.to_thread(work.log.wait_for, "work_halted")
            await asyncio.to_thread(work.log.wait_for, "purge_failed")
            await work.inbox.open()
            await work.handle(inbound())
            assert await work.states() == [EventState.DONE] * 2

    asyncio.run(main())


def test_a_worker_stops_within_its_bound_although_the_inbox_is_gone(tmp_path: Path) -> None:
    hooks = Hooks()
    gate = Gate()

    @hooks.on("*")
    async def handler(event: Event) -> None:
        gate.stop_here()

    async def main() -> None:
        async with working(hooks, folder=tmp_path) as work:
            await work.put(inbound())
            await gate.was_reached()
            await work.inbox.close()
            gate.go.set()
            await asyncio.to_thread(work.log.wait_for, "work_halted")
            await soon(work.worker.stop(timeout=0.1))
            (said,) = work.log.named("worker_stopped")
            assert said["abandoned"] == 1
            await work.inbox.open()
            assert await work.states() == [EventState.RUNNING]

    asyncio.run(main())
