"""The runner leases while there is room, settles what is reported together with the next lease, renews what is held,
waits longer and longer while its source fails, never spins, and drains."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Collection, Sequence
from typing import Self

import pytest

from kirimhook.runner import Pace, Runner
from kirimhook.testing.clock import Clock
from tests.receiver.working import SOON, soon, until

ROOM = 3


class Broken(Exception):
    """The source is not there."""


class Shelf:
    """A source of numbers: what is on it is given out once, and over when it is settled."""

    def __init__(self, *work: int) -> None:
        self.work = list(work)
        self.calls: list[tuple[str, object]] = []
        self.settled: list[int] = []
        self.fails: set[str] = set()
        self.stirred = asyncio.Event()
        self.called = asyncio.Condition()

    def room(self, held: int, results: Sequence[int]) -> int:
        return ROOM - held + len(results)

    async def lease(self, room: int) -> Sequence[int]:
        await self._note("lease", room)
        leased, self.work = self.work[:room], self.work[room:]
        return leased

    async def renew(self, held: Collection[int]) -> None:
        await self._note("renew", sorted(held))

    async def settle(self, results: Sequence[int]) -> Collection[int]:
        await self._note("settle", list(results))
        self.settled += results
        return results

    async def wait(self, timeout: float) -> None:
        await self._note("wait", timeout)
        if not self.work:
            await self.stirred.wait()
            self.stirred.clear()

    def put(self, *work: int) -> None:
        self.work += work
        self.stirred.set()

    def of(self, verb: str) -> list[object]:
        return [argument for called, argument in self.calls if called == verb]

    async def seen(self, verb: str, count: int = 1) -> None:
        """Wait until the verb was called so often."""
        async with asyncio.timeout(SOON), self.called:
            await self.called.wait_for(lambda: len(self.of(verb)) >= count)

    async def _note(self, verb: str, argument: object) -> None:
        async with self.called:
            self.calls.append((verb, argument))
            self.called.notify_all()
        if verb in self.fails:
            raise Broken(verb)


class Ran:
    """A runner over a shelf. What is leased is kept in `got`; nothing is reported by itself."""

    def __init__(self, shelf: Shelf, **pace: float) -> None:
        self.shelf = shelf
        self.got: list[int] = []
        self.reported: set[int] = set()
        self.clock = Clock(0.0)
        self.outages: list[Exception | None] = []
        self.runner: Runner[int, int] = Runner(
            shelf,
            self.got.extend,
            Pace(**{"renew": 1000.0, "outage": 0.01} | pace),
            outage=self.outages.append,
            clock=lambda: self.clock() + time.monotonic(),
        )

    async def __aenter__(self) -> Self:
        self.task = asyncio.create_task(self.runner.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.finish(*self.got)
        self.shelf.fails.clear()
        self.runner.drain()
        await soon(self.task)

    def finish(self, *work: int) -> None:
        for each in work:
            if each not in self.reported:
                self.reported.add(each)
                self.runner.report(each)
        self.runner.nudge()

    async def idle(self) -> None:
        await soon(asyncio.wrap_future(self.runner.idle()))


def test_it_leases_what_there_is_room_for_and_more_when_there_is_room_again() -> None:
    async def main() -> None:
        async with Ran(Shelf(1, 2, 3, 4, 5)) as ran:
            await ran.shelf.seen("lease")
            await asyncio.sleep(0)
            assert ran.got == [1, 2, 3]
            assert ran.runner.held == 3
            ran.finish(2, 1)
            await ran.shelf.seen("lease", 2)
            await asyncio.sleep(0)
            assert ran.shelf.of("lease") == [3, 2]
            assert ran.shelf.of("settle") == [[2, 1]]
            assert ran.got == [1, 2, 3, 4, 5]

    asyncio.run(main())


class Together(Shelf):
    """Settles only once the next lease has been asked for."""

    async def settle(self, results: Sequence[int]) -> Collection[int]:
        await self.seen("lease", len(self.of("settle")) + 2)
        return await super().settle(results)


def test_a_settlement_and_the_next_lease_are_under_way_at_the_same_time() -> None:
    async def main() -> None:
        async with Ran(Together(*range(9))) as ran:
            for first in (0, 3):
                await ran.shelf.seen("lease", first // 3 + 1)
                await asyncio.sleep(0)
                ran.finish(first, first + 1, first + 2)
            await ran.shelf.seen("settle", 2)
            ran.shelf.put()
            assert ran.shelf.of("settle") == [[0, 1, 2], [3, 4, 5]]
            ran.shelf.__class__ = Shelf

    asyncio.run(main())


def test_it_sleeps_until_the_source_stirs() -> None:
    async def main() -> None:
        async with Ran(Shelf(), poll=77.0) as ran:
            await ran.shelf.seen("wait")
            leases = len(ran.shelf.of("lease"))
            ran.shelf.put(1)
            await ran.shelf.seen("lease", leases + 1)
            await asyncio.sleep(0)
            assert ran.got == [1]
            assert ran.shelf.of("wait")[0] == 77.0

    asyncio.run(main())


def test_results_come_from_any_thread() -> None:
    async def main() -> None:
        async with Ran(Shelf(*range(60))) as ran:

            def work() -> None:
                done = 0
                while done < 60:
                    for number in ran.got[done:]:
                        ran.reported.add(number)
                        ran.runner.report(number)
                        done += 1
                    ran.runner.nudge()

            thread = threading.Thread(target=work)
            thread.start()
            await ran.idle()
            await asyncio.to_thread(thread.join)
            assert ran.shelf.settled == list(range(60))

    asyncio.run(main())


def test_what_is_held_is_renewed_again_and_again_and_nothing_else_is() -> None:
    async def main() -> None:
        shelf = Shelf()
        async with Ran(shelf, renew=0.01) as ran:
            await ran.idle()
            shelf.put(1, 2)
            await shelf.seen("renew", 3)
            assert shelf.of("renew") == [[1, 2]] * len(shelf.of("renew"))
            ran.finish(1, 2)
            await ran.idle()
            renewals = len(shelf.of("renew"))
            await ran.idle()
            assert len(shelf.of("renew")) == renewals

    asyncio.run(main())


def test_results_survive_an_outage_in_order_and_it_is_told_once() -> None:
    async def main() -> None:
        async with Ran(Shelf(1, 2, 3)) as ran:
            await ran.shelf.seen("lease")
            await asyncio.sleep(0)
            ran.shelf.fails = {"settle", "lease"}
            ran.finish(3, 1)
            await ran.shelf.seen("settle", 2)
            ran.finish(2)
            await ran.shelf.seen("settle", 4)
            assert ran.shelf.of("settle")[3] == [3, 1, 2]
            assert ran.runner.held == 3
            ran.shelf.fails = set()
            await ran.idle()
            assert ran.shelf.settled == [3, 1, 2]
            assert ran.runner.held == 0
            assert [type(told) for told in ran.outages] == [Broken, type(None)]

    asyncio.run(main())


@pytest.mark.parametrize("verb", ["lease", "settle", "renew"])
def test_an_outage_is_waited_out_longer_and_longer_whatever_is_reported(verb: str) -> None:
    async def main() -> float:
        async with Ran(Shelf(1, 2), outage=0.02, longest_outage=0.16, renew=0.001) as ran:
            await ran.shelf.seen("lease")
            await asyncio.sleep(0)
            ran.shelf.fails = {verb}
            ran.finish(1)
            await ran.shelf.seen(verb, len(ran.shelf.of(verb)) + 1)
            begun, before = time.monotonic(), len(ran.shelf.of(verb))
            waiting = asyncio.create_task(ran.shelf.seen(verb, before + 4))
            while not waiting.done():
                ran.runner.nudge()
                ran.shelf.stirred.set()
                await asyncio.sleep(0)
            await waiting
            return time.monotonic() - begun

    assert asyncio.run(main()) > 0.02 + 0.04 + 0.08 + 0.16 - 0.02


class Mirage(Shelf):
    """Always says that there is something."""

    async def wait(self, timeout: float) -> None:
        await self._note("wait", timeout)


class Blind(Shelf):
    async def wait(self, timeout: float) -> None:
        raise Broken


@pytest.mark.parametrize("shelf", [Mirage, Blind])
def test_work_that_is_not_there_after_all_does_not_make_it_spin(shelf: type[Shelf]) -> None:
    async def main() -> float:
        async with Ran(shelf(), empty=0.02) as ran:
            begun = time.monotonic()
            await ran.shelf.seen("lease", 12)
            return time.monotonic() - begun

    assert asyncio.run(main()) > 9 * 0.02


def test_after_a_long_wait_new_work_is_not_made_to_wait() -> None:
    async def main() -> None:
        shelf = Shelf()
        async with Ran(shelf, empty=1000.0) as ran:
            for number in range(13):
                await shelf.seen("wait", number + 1)
                ran.clock.advance(2000)
                shelf.stirred.set()  # for nothing: the lease is empty again
            await shelf.seen("wait", 14)
            shelf.put(1)
            await shelf.seen("lease", 15)

    asyncio.run(main())


def test_idle_waits_for_what_is_held_and_for_what_was_there_before_it_was_asked() -> None:
    async def main() -> None:
        async with Ran(Shelf(*range(5))) as ran:
            idle = asyncio.create_task(ran.idle())
            while len(ran.shelf.settled) < 5:
                assert not idle.done()
                ran.finish(*ran.got)
                await asyncio.sleep(0)
            await idle
            assert ran.shelf.settled == list(range(5))
            ran.shelf.work.append(5)  # and nothing stirs
            idle = asyncio.create_task(ran.idle())
            await ran.shelf.seen("lease", len(ran.shelf.of("lease")) + 1)
            await asyncio.sleep(0)
            assert not idle.done()
            ran.finish(5)
            await idle

    asyncio.run(main())


def test_one_who_stops_waiting_for_idle_harms_nobody() -> None:
    async def main() -> None:
        async with Ran(Shelf(1)) as ran:
            await ran.shelf.seen("lease")
            given_up = ran.runner.idle()
            given_up.cancel()
            await asyncio.sleep(0)
            ran.finish(1)
            await ran.idle()

    asyncio.run(main())


def test_draining_leases_nothing_and_ends_when_nothing_is_held() -> None:
    async def main() -> None:
        shelf = Shelf(1, 2)
        async with Ran(shelf) as ran:
            await shelf.seen("lease")
            await asyncio.sleep(0)
            leases = len(shelf.of("lease"))
            ran.runner.drain()
            shelf.put(3)
            ran.finish(1)
            await shelf.seen("settle")
            assert not ran.task.done()
            idle = ran.runner.idle()
            ran.finish(2)
            await soon(ran.task)
            assert len(shelf.of("lease")) == leases
            assert shelf.work == [3]
            for future in (idle, ran.runner.idle()):
                with pytest.raises(RuntimeError, match="stopped"):
                    await asyncio.wrap_future(future)
            ran.runner.nudge()

    asyncio.run(main())


def test_draining_does_not_wait_for_the_end_of_a_pause() -> None:
    async def main() -> None:
        shelf = Shelf()
        shelf.fails = {"lease"}
        async with Ran(shelf, outage=1000.0, longest_outage=1000.0) as ran:
            await shelf.seen("lease")
            await until(lambda: told(ran))
            ran.runner.drain()
            await soon(ran.task)

    async def told(ran: Ran) -> bool:
        return bool(ran.outages)

    asyncio.run(main())


def test_drained_before_it_ran_it_ends_at_once() -> None:
    async def main() -> None:
        shelf = Shelf(1)
        ran = Ran(shelf)
        ran.runner.drain()
        await soon(ran.runner.run())
        assert shelf.calls == []

    asyncio.run(main())
