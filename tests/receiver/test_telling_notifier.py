"""The operator is told of each parked event once, on every kind of inbox: the first at once, then one summary each
interval, by one of the processes. What nobody took, or nobody knows that it was taken, is told again, all of it.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kirimhook.backends import open_inbox
from kirimhook.observe import Meter
from kirimhook.receiver.inbox import Filter, Inbox, InboxUnavailable
from kirimhook.receiver.model import EventState, Parked, Settlement
from kirimhook.receiver.telling import Notifier
from kirimhook.receiver.telling.notifier import ANYWAY, BOOKMARK, HEAVY, MOST_PAGE, SELDOM, next_size
from kirimhook.telling import LEASE, NotToldError
from kirimhook.testing.clock import Clock
from tests.cli.conftest import places
from tests.cli.inboxes import KINDS, Places
from tests.receiver.working import Log, inbound

__all__ = ["places"]

NOW = 1_780_000_000.0
EVERY = 60.0
SOON = 60.0
PARKED = Filter(states=frozenset({EventState.PARKED}))


class Ear:
    """Takes what it is told, or does not."""

    def __init__(self) -> None:
        self.told: list[Mapping[str, Any]] = []
        self.problem: str | None = None

    async def tell(self, document: Mapping[str, Any]) -> None:
        if self.problem is not None:
            raise NotToldError(self.problem)
        self.told.append(document)

    def counts(self) -> list[int]:
        return [document["count"] for document in self.told]


class Slow(Ear):
    """Takes it, and says so only when it is let go on."""

    def __init__(self) -> None:
        super().__init__()
        self.hears, self.goes_on = asyncio.Event(), asyncio.Event()

    async def tell(self, document: Mapping[str, Any]) -> None:
        self.told.append(document)
        self.hears.set()
        await self.goes_on.wait()


class Scene:
    """An inbox opened once for each process, a clock, and workers that park whatever there is."""

    def __init__(self, inboxes: list[Inbox], clock: Clock) -> None:
        self.inboxes = inboxes
        self.clock = clock
        self.meters = [Meter() for _ in inboxes]

    def notifier(self, ear: Ear, process: int = 0, **given: Any) -> Notifier:
        meter = self.meters[process]
        return Notifier(self.inboxes[process], ear, clock=self.clock, every=EVERY, meter=meter, **given)

    async def park(self, count: int, reason: str = "no", kind: str = "contact.created", process: int = 0) -> None:
        """New events, given up by this process; a second later."""
        inbox = self.inboxes[process]
        for start in range(0, count, 500):
            await inbox.put([inbound(kind=kind) for _ in range(min(500, count - start))])
        await self.work(reason, process)

    async def work(self, reason: str, process: int = 0) -> None:
        inbox = self.inboxes[process]
        while leases := await inbox.lease(500, 30):
            ends = [
                Settlement(lease.token, one.number, Parked(reason), then)
                for lease in leases
                for one, then in zip(lease.run, [*[n.number for n in lease.run[1:]], None], strict=True)
            ]
            assert all(await inbox.settle(ends))
            self.meters[process].counter("kirimhook_handled_total")["parked"] += len(ends)
        self.clock.advance(1)


Play = Callable[[Scene], Awaitable[None]]


@pytest.fixture(params=KINDS)
def play(request: pytest.FixtureRequest, places: Places, tmp_path: Path) -> Callable[[Play], None]:
    """Run it on a new inbox of each kind, opened three times."""
    url = places.made(request.param, tmp_path)

    async def main(scene: Play) -> None:
        async with opened(url, 3) as found:
            await asyncio.wait_for(scene(found), SOON)

    return lambda scene: asyncio.run(main(scene))


@asynccontextmanager
async def opened(url: str, times: int) -> AsyncIterator[Scene]:
    clock = Clock(NOW)
    async with AsyncExitStack() as stack:
        inboxes = [open_inbox(url, clock=clock) for _ in range(times)]
        for inbox in inboxes:
            stack.push_async_callback(inbox.close)
            await inbox.open()
        yield Scene(inboxes, clock)


async def begin(clock: Clock, notifier: Notifier) -> asyncio.Task[int]:
    """It has noticed what this process parked, a second before, and tells."""
    assert await notifier.tell() == 0
    clock.advance(1)
    return asyncio.create_task(notifier.tell())


async def all_tell(clock: Clock, *notifiers: Notifier) -> int:
    """As several processes do at one moment, and a second later; of how many they told together."""
    told = sum(await asyncio.gather(*[one.tell() for one in notifiers]))
    clock.advance(1)
    return told + sum(await asyncio.gather(*[one.tell() for one in notifiers]))


def test_once_each_time_it_is_parked_by_one_of_the_processes(play: Callable[[Play], None]) -> None:
    async def scene(scene: Scene) -> None:
        ear = Ear()
        several = [scene.notifier(ear, process) for process in range(3)]
        await scene.park(2, "Traceback (most recent call last):\n  File x\nKeyError: 'a'")
        await scene.park(1, "gave up", kind="message.received", process=1)
        assert await all_tell(scene.clock, *several) == 3
        (told,) = ear.told
        first, second = told["notices"]
        assert (first["kind"], first["event_type"], first["reason"]) == (
            "parked_events", "contact.created", "KeyError: 'a'",
        )  # fmt: skip
        numbers = [str(stored.number) for stored in (await scene.inboxes[0].list(PARKED)).events]
        assert sorted(first["examples"] + second["examples"]) == sorted(numbers)
        assert (second["event_type"], second["count"], told["source"]) == ("message.received", 1, "receiver")
        for _ in range(5):
            scene.clock.advance(EVERY)
            assert await all_tell(scene.clock, *several) == 0
        await scene.inboxes[2].put_back(Filter(numbers=(int(numbers[0]),)))
        await scene.work("again", process=2)
        assert await all_tell(scene.clock, *several) == 1, "another transition"
        assert ear.told[1]["notices"][0]["examples"] == [numbers[0]]

    play(scene)


def test_a_storm_is_one_summary_and_nothing_of_it_is_told_twice(play: Callable[[Play], None]) -> None:
    async def scene(scene: Scene) -> None:
        ear = Ear()
        several = [scene.notifier(ear, process) for process in range(3)]
        await scene.park(700, process=0)
        await scene.park(300, process=1)
        assert await all_tell(scene.clock, *several) == 1000
        for more in (450, 1):
            await scene.park(more, process=2)
            assert await all_tell(scene.clock, *several) == 0, "it is not time yet"
            scene.clock.advance(EVERY)
            assert await all_tell(scene.clock, *several) == more
        scene.clock.advance(ANYWAY + 1)
        assert await all_tell(scene.clock, *several) == 0
        assert ear.counts() == [1000, 450, 1]
        assert [len(document["notices"][0]["examples"]) for document in ear.told] == [5, 5, 1]

    play(scene)


def test_who_dies_between_telling_and_forgetting_costs_a_lease(play: Callable[[Play], None]) -> None:
    """The same document comes again, known by its id."""

    async def scene(scene: Scene) -> None:
        slow, ear = Slow(), Ear()
        await scene.park(3)
        dying = await begin(scene.clock, scene.notifier(slow))
        await slow.hears.wait()
        dying.cancel()
        await asyncio.gather(dying, return_exceptions=True)
        other = scene.notifier(ear, 1)
        assert await other.tell() == 0
        scene.clock.advance(LEASE)
        assert await other.tell() == 3
        assert [document["id"] for document in ear.told] == [document["id"] for document in slow.told]

    play(scene)


def test_who_was_too_slow_undoes_nothing(play: Callable[[Play], None]) -> None:
    """Its turn has passed to another, who told of more. What it says then is not believed."""

    async def scene(scene: Scene) -> None:
        slow, ear = Slow(), Ear()
        await scene.park(3)
        late = await begin(scene.clock, scene.notifier(slow))
        await slow.hears.wait()
        scene.clock.advance(LEASE)
        await scene.park(2, process=1)
        several = [scene.notifier(ear, 1), scene.notifier(ear, 2)]
        assert await all_tell(scene.clock, *several) == 5
        slow.goes_on.set()
        await late
        scene.clock.advance(ANYWAY + 1)
        assert await all_tell(scene.clock, *several) == 0
        assert (slow.counts(), ear.counts()) == ([3], [5])

    play(scene)


def test_what_nobody_took_is_told_later_with_what_came_since(play: Callable[[Play], None]) -> None:
    async def scene(scene: Scene) -> None:
        ear, log = Ear(), Log()
        one = scene.notifier(ear, observer=log.observer)
        ear.problem = "deaf"
        await scene.park(2)
        tries, begun = 0, scene.clock.now
        while scene.clock.now < begun + 1200:
            assert await one.tell() == 0
            scene.clock.advance(1)
            tries = len(log.named("not_notified"))
        assert 8 <= tries <= 14, "after 1, 2, 4 … seconds, at most 300"
        assert log.named("not_notified")[0]["reason"] == "deaf"
        await scene.park(1)
        ear.problem = None
        scene.clock.advance(300)
        assert await all_tell(scene.clock, one) == 3
        counts = dict(scene.meters[0].counter("kirimhook_notices_total"))
        assert counts == {"failed": 2 * tries, "told": 3}

    play(scene)


def test_what_others_parked_is_found_by_its_count(play: Callable[[Play], None]) -> None:
    """A process that only receives, or that was started later, tells of what nobody else has."""

    async def scene(scene: Scene) -> None:
        ear = Ear()
        before = scene.notifier(ear)
        assert await before.tell() == 0, "there is nothing"
        await scene.park(2, process=1)
        scene.clock.advance(SELDOM)
        assert await all_tell(scene.clock, before) == 2
        await scene.park(1, process=1)
        scene.clock.advance(EVERY)
        assert await scene.notifier(ear, 2).tell() == 1, "at its start"
        assert ear.counts() == [2, 1]

    play(scene)


@given(st.integers(1, MOST_PAGE), st.integers(0, 4 * 2**20))
def test_what_is_read_at_once_is_many_or_light(size: int, each: int) -> None:
    """As many bodies of this size again weigh no more than a read may, or it is one."""
    following = next_size(size, size * each)
    assert 1 <= following <= MOST_PAGE
    assert following == 1 or following * each <= HEAVY
    assert following >= min(4 * size, MOST_PAGE) or (following + 1) * each > HEAVY


class Counting:
    """The inbox, and how often each verb was called."""

    def __init__(self, inbox: Inbox) -> None:
        self.inbox = inbox
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        self.calls.append(name)
        return getattr(self.inbox, name)


def test_while_nothing_is_parked_it_costs_a_count_each_minute(tmp_path: Path) -> None:
    async def main() -> list[str]:
        async with opened(f"sqlite:///{tmp_path / 'inbox.db'}", 1) as scene:
            counting = Counting(scene.inboxes[0])
            one = Notifier(counting, Ear(), clock=scene.clock)
            await one.tell()
            counting.calls.clear()
            for _ in range(3 * int(SELDOM)):
                scene.clock.advance(1)
                await one.tell()
            return counting.calls

    assert asyncio.run(main()) == ["bookmark", "count"] * 3


def test_an_outage_is_one_line_and_then_it_tells(tmp_path: Path) -> None:
    async def main() -> None:
        url = f"sqlite:///{tmp_path / 'inbox.db'}"
        async with opened(url, 1) as scene:
            await scene.park(1)
        log, ear = Log(), Slow()
        inbox = open_inbox(url)
        task = asyncio.create_task(Notifier(inbox, ear, poll=0.001, observer=log.observer).run())
        await asyncio.to_thread(log.wait_for, "notices_not_read")
        await inbox.open()
        await ear.hears.wait()
        assert len(log.named("notices_not_read")) == 1
        task.cancel()
        await asyncio.wait({task})
        await inbox.close()
        assert ear.counts() == [1]

    asyncio.run(asyncio.wait_for(main(), SOON))


def test_a_bookmark_that_another_version_wrote_stays(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(f"sqlite:///{tmp_path / 'inbox.db'}", 1) as scene:
            await scene.inboxes[0].move_bookmark(BOOKMARK, None, '{"v":2}')
            await scene.park(1)
            ear = Ear()
            with pytest.raises(ValueError, match="version 2"):
                await (await begin(scene.clock, scene.notifier(ear)))
            assert (await scene.inboxes[0].bookmark(BOOKMARK), ear.told) == ('{"v":2}', [])

    asyncio.run(main())


def test_what_is_parked_during_a_look_is_told_with_the_next(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(f"sqlite:///{tmp_path / 'inbox.db'}", 2) as scene:
            ear = Ear()
            one = Notifier(scene.inboxes[0], ear, clock=scene.clock, every=5.0, meter=scene.meters[0])
            await scene.park(1)
            assert await one.tell() == 0
            scene.clock.advance(1)
            await scene.park(1, process=1)
            scene.clock.now -= 0.5  # half a second ago
            assert await one.tell() == 1
            scene.clock.advance(5)
            assert await one.tell() == 1, "long before it would count again"
            assert ear.counts() == [1, 1]

    asyncio.run(asyncio.wait_for(main(), SOON))


class Hanging(Counting):
    """Its first list takes so long that another process has the turn."""

    def __init__(self, scene: Scene, other: Notifier) -> None:
        super().__init__(scene.inboxes[0])
        self._scene = scene
        self._other: Notifier | None = other

    async def list(self, *given: Any, **named: Any) -> Any:
        page = await self.inbox.list(*given)
        other, self._other = self._other, None
        if other is not None:
            self._scene.clock.advance(LEASE)
            assert await other.tell() == 3
        return page


def test_whose_look_took_too_long_tells_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(f"sqlite:///{tmp_path / 'inbox.db'}", 2) as scene:
            ear = Ear()
            await scene.park(3)
            hanging = Hanging(scene, scene.notifier(ear, 1))
            one = Notifier(hanging, ear, clock=scene.clock, every=EVERY, meter=scene.meters[0])
            assert await (await begin(scene.clock, one)) == 0
            scene.clock.advance(ANYWAY + 1)
            assert await one.tell() == 0
            assert ear.counts() == [3]

    asyncio.run(asyncio.wait_for(main(), SOON))


CALLS = 6
"""That one telling of two pages makes: what is told, its turn, two reads, its turn again, what is told then."""


class Failing(Counting):
    """The so-manieth call of a verb finds the storage away; the call may have been done."""

    def __init__(self, inbox: Inbox, fails: int) -> None:
        super().__init__(inbox)
        self._numbers = itertools.count()
        self._fails = fails

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self.inbox, name)

        async def call(*given: Any) -> Any:
            mine = next(self._numbers)
            answer = await verb(*given)
            if mine == self._fails:
                raise InboxUnavailable("away")
            return answer

        return call


@pytest.mark.parametrize("fails", range(CALLS))
def test_wherever_the_storage_fails_all_is_told_and_at_most_that_telling_twice(tmp_path: Path, fails: int) -> None:
    async def main() -> None:
        async with opened(f"sqlite:///{tmp_path / 'inbox.db'}", 1) as scene:
            await scene.park(60)  # two pages
            ear = Ear()
            failing = Failing(scene.inboxes[0], fails)
            one = Notifier(failing, ear, clock=scene.clock, every=EVERY, meter=scene.meters[0])
            telling = await begin(scene.clock, one)
            with pytest.raises(InboxUnavailable):
                await telling
            scene.clock.advance(LEASE)
            await one.tell()
            scene.clock.advance(ANYWAY + 1)
            assert await one.tell() == 0
            assert ear.counts() in ([60], [60, 60])
            assert len({document["id"] for document in ear.told}) == 1

    asyncio.run(main())
