"""The operator is told of each dead letter and each disabling once: the first at once, then one summary each interval,
by one of the processes. What nobody took is told again later, all of it, however much came meanwhile.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from kirimhook.observe import Meter
from kirimhook.sender.engine import Notifier, notify
from kirimhook.sender.store import notices
from kirimhook.sender.store.notices import Died
from kirimhook.telling import LEASE, NotToldError
from kirimhook.telling.tellers import Command
from kirimhook.testing.clock import Clock
from kirimhook.testing.endpoint import Endpoint, Respond
from tests.sender.databases import Databases
from tests.sender.engines import NOW, Stage, counted, running, settings_for, stage

KEEP = "import sys, pathlib; f = pathlib.Path(sys.argv[1]); f.open('a').write(sys.stdin.read())"
EVERY = 60.0


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


def notifier(set_up: Stage, ear: Any, clock: Clock, meter: Meter | None = None) -> Notifier:
    return Notifier(set_up.database, ear, clock=clock, every=EVERY, meter=meter)


async def die(set_up: Stage, count: int, subscription: str = "wbs_1", first: int = 0) -> None:
    """So many dead letters, in one transaction."""
    died = [
        Died(f"wbd_{subscription}_{first + n}", subscription, "rejected", f"answered 4{n:02}") for n in range(count)
    ]
    at = int(set_up.clock() * 1000)
    await set_up.database.write(partial(notices.add_dead, died=died, at=at))


async def waiting(set_up: Stage) -> int:
    return int(await set_up.value("SELECT count(*) FROM notices WHERE id <> 'turn'"))


def test_once_per_transition(databases: Databases, tmp_path: Path) -> None:
    async def main() -> None:
        clock = Clock(NOW)
        async with stage(databases, clock) as set_up, Endpoint(Respond(410)) as endpoint:
            subscription = await set_up.subscribe(endpoint.url)
            await set_up.publish(subscription, 3)
            one_by_one = settings_for(endpoint.ca, in_flight_per_endpoint=1)
            async with running(set_up, one_by_one, notify=True) as engine:
                await engine.idle()
            kept, meter = tmp_path / "notices", Meter()
            command = Command((sys.executable, "-c", KEEP, str(kept)))
            both = [notifier(set_up, command, clock, meter) for _ in range(2)]
            await asyncio.gather(*[one.tell() for one in both])
            clock.advance(10 * EVERY)
            assert [await one.tell() for one in both] == [0, 0]
            (told,) = [json.loads(line) for line in kept.read_text().splitlines()]
            states = await set_up.states()
            dead, disabled = sorted(told["notices"], key=lambda notice: str(notice["kind"]))
            assert sorted(dead.pop("examples")) == sorted(id_ for id_ in states if states[id_] == "dead")
            at = "2026-05-28T20:26:40.000Z"
            assert dead == {
                "kind": "dead_letters", "subscription_id": subscription, "event_type": None, "reason": "gone",
                "count": len([id_ for id_ in states if states[id_] == "dead"]), "first_at": at, "last_at": at,
                "detail": "answered 410",
            }  # fmt: skip
            assert (disabled["kind"], disabled["subscription_id"]) == ("subscription_disabled", subscription)
            assert (disabled["reason"], disabled["count"], disabled["examples"]) == ("gone", 1, [])
            assert counted(meter, "notices_total") == {"told": told["count"]}
            assert await waiting(set_up) == 0

    asyncio.run(main())


def test_nothing_is_kept_where_nobody_is_told(databases: Databases) -> None:
    async def main() -> None:
        async with stage(databases) as set_up, Endpoint(Respond(410)) as endpoint:
            await set_up.publish(await set_up.subscribe(endpoint.url))
            async with running(set_up, settings_for(endpoint.ca)) as engine:
                await engine.idle()
            assert await set_up.rows("SELECT * FROM notices") == []

    asyncio.run(main())


def test_the_first_at_once_then_one_summary_each_interval(databases: Databases) -> None:
    async def main() -> None:
        clock, ear = Clock(NOW), Ear()
        async with stage(databases, clock) as set_up:
            several = [notifier(set_up, ear, clock) for _ in range(3)]
            for second in range(150):  # one dies each second
                await die(set_up, 1, first=second)
                for one in several:
                    await one.tell()
                clock.advance(1)
            clock.advance(EVERY)
            assert sum([await one.tell() for one in several]) == 29
            assert ear.counts() == [1, 60, 60, 29]
            last = ear.told[1]["notices"][0]
            assert (last["first_at"], last["last_at"]) == ("2026-05-28T20:26:41.000Z", "2026-05-28T20:27:40.000Z")
            clock.advance(1000 * EVERY)
            await die(set_up, 1, first=1000)
            assert await several[0].tell() == 1, "at once, after a quiet time"

    asyncio.run(main())


def test_a_storm_is_one_summary_and_few_rows(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "BATCH", 100)

    async def main() -> None:
        clock, ear = Clock(NOW), Ear()
        async with stage(databases, clock) as set_up:
            for number in range(1500):
                await die(set_up, 1 + number % 3, f"wbs_{number % 30}", first=10 * number)
            ear.problem = "deaf"
            assert await notifier(set_up, ear, clock).tell() == 0
            assert await waiting(set_up) == 30, "as many as there are groups"
            ear.problem = None
            clock.advance(1)
            assert await notifier(set_up, ear, clock).tell() == 3000
            (told,) = ear.told
            assert (told["count"], len(told["notices"])) == (3000, 20)
            assert told["others"] + sum(notice["count"] for notice in told["notices"]) == 3000
            assert all(len(notice["examples"]) == 5 for notice in told["notices"])
            assert len(json.dumps(told)) < 16_384
            assert await waiting(set_up) == 0

    asyncio.run(main())


def test_more_groups_than_one_batch(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "BATCH", 10)

    async def main() -> None:
        clock, ear = Clock(NOW), Ear()
        async with stage(databases, clock) as set_up:
            for number in range(25):
                await die(set_up, 1, f"wbs_{number}")
                clock.advance(0.001)
            for _ in range(4):
                clock.advance(EVERY)
                await notifier(set_up, ear, clock).tell()
            assert ear.counts() == [10, 10, 5]

    asyncio.run(main())


def test_told_again_later_and_nothing_is_dropped(databases: Databases) -> None:
    async def main() -> None:
        clock, ear, meter = Clock(NOW), Ear(), Meter()
        async with stage(databases, clock) as set_up:
            ear.problem = "deaf"
            one, waits = notifier(set_up, ear, clock, meter), []
            await die(set_up, 1)
            for tries in range(200):
                assert await one.tell() == 0
                due = await set_up.value("SELECT due_at FROM notices WHERE id = 'turn'") / 1000
                waits.append(due - clock.now)
                clock.now = due
                await die(set_up, 1, first=tries + 1)
            assert waits[:5] == [1, 2, 4, 8, 16]
            assert max(waits) == 300
            assert await waiting(set_up) <= 2
            ear.problem = None
            assert await one.tell() == 201
            assert counted(meter, "notices_total")["told"] == 201
            await die(set_up, 1, first=1000)
            assert await one.tell() == 0
            clock.advance(EVERY)
            assert await one.tell() == 1, "what failed before no longer counts"

    asyncio.run(main())


class Slow(Ear):
    """Hears, and says so only when it is let go on."""

    def __init__(self) -> None:
        super().__init__()
        self.hears, self.goes_on = asyncio.Event(), asyncio.Event()

    async def tell(self, document: Mapping[str, Any]) -> None:
        self.told.append(document)
        self.hears.set()
        await self.goes_on.wait()


def test_a_clock_that_was_wrong_keeps_nobody_from_telling(databases: Databases) -> None:
    """A machine that believes it is next year takes the turn, and is set right: nobody waits until then."""

    async def main() -> None:
        clock, year, ear = Clock(NOW), 365 * 86_400, Ear()
        async with stage(databases, clock) as set_up:
            telling = notifier(set_up, ear, clock)
            clock.advance(year)
            await die(set_up, 1)
            assert await telling.tell() == 1
            clock.now = NOW
            await die(set_up, 2, first=1)
            assert await telling.tell() == 2
            await die(set_up, 3, first=3)
            assert await telling.tell() == 0, "paced as ever"
            clock.advance(EVERY + 1)
            assert await telling.tell() == 3

    asyncio.run(main())


def test_who_dies_while_telling_costs_a_lease(databases: Databases) -> None:
    """What comes again is the same document, by its id; what joined it meanwhile makes it another."""

    async def main() -> None:
        clock, slow, ear = Clock(NOW), Slow(), Ear()
        async with stage(databases, clock) as set_up:
            await die(set_up, 2)
            dying = asyncio.create_task(notifier(set_up, slow, clock).tell())
            await slow.hears.wait()
            dying.cancel()
            await asyncio.gather(dying, return_exceptions=True)
            other = notifier(set_up, ear, clock)
            assert await other.tell() == 0
            clock.advance(LEASE)
            assert await other.tell() == 2
            assert [document["id"] for document in ear.told] == [document["id"] for document in slow.told]

    asyncio.run(main())


def test_who_was_too_slow_takes_nothing_from_who_came_after(databases: Databases) -> None:
    """It told a part of what was merged since. All of that is told, a part of it twice."""

    async def main() -> None:
        clock, slow, ear = Clock(NOW), Slow(), Ear()
        async with stage(databases, clock) as set_up:
            await die(set_up, 2)
            late = asyncio.create_task(notifier(set_up, slow, clock).tell())
            await slow.hears.wait()
            clock.advance(LEASE)
            await die(set_up, 3, first=10)
            ear.problem = "deaf"
            assert await notifier(set_up, ear, clock).tell() == 0, "and it merged both"
            slow.goes_on.set()
            assert await late == 2
            ear.problem = None
            clock.advance(EVERY)
            assert await notifier(set_up, ear, clock).tell() == 5

    asyncio.run(main())


def test_who_was_too_slow_leaves_the_turn_to_who_has_it(databases: Databases) -> None:
    """And where it told all there was, the other has nothing to tell."""

    async def main() -> None:
        clock, first, second, ear = Clock(NOW), Slow(), Slow(), Ear()
        async with stage(databases, clock) as set_up:
            await die(set_up, 1)
            late = asyncio.create_task(notifier(set_up, first, clock).tell())
            await first.hears.wait()
            clock.advance(LEASE)
            other = asyncio.create_task(notifier(set_up, second, clock).tell())
            await second.hears.wait()
            first.goes_on.set()
            assert await late == 1
            await die(set_up, 1, first=10)
            clock.advance(LEASE - 1)
            assert await notifier(set_up, ear, clock).tell() == 0, "the second one has the turn"
            second.goes_on.set()
            assert await other == 1
            clock.advance(EVERY)
            assert await notifier(set_up, ear, clock).tell() == 1

    asyncio.run(main())


def test_where_another_was_faster_it_tells_nothing(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> None:
    """There was something when it looked, and nothing when it had the turn, which is free again then."""

    async def main() -> None:
        clock, ear = Clock(NOW), Ear()
        async with stage(databases, clock) as set_up:
            with monkeypatch.context() as looked:
                looked.setattr(notices, "ready", lambda connection, now, latest: True)
                assert await notifier(set_up, ear, clock).tell() == 0
            assert ear.told == []
            await die(set_up, 1)
            assert await notifier(set_up, ear, clock).tell() == 1

    asyncio.run(main())


def test_it_tells_of_itself(databases: Databases) -> None:
    """`run` looks by itself, and goes on after what it told."""

    async def main() -> None:
        ear = Ear()
        heard = asyncio.Event()

        class Loud(Ear):
            async def tell(self, document: Mapping[str, Any]) -> None:
                await ear.tell(document)
                heard.set()

        async with stage(databases) as set_up:
            one = Notifier(set_up.database, Loud(), clock=Clock(NOW), every=0.0, poll=0.001)
            running_on = asyncio.create_task(one.run())
            for first in (0, 10):
                heard.clear()
                await die(set_up, 2, first=first)
                await heard.wait()
            running_on.cancel()
            await asyncio.wait({running_on})
            assert ear.counts() == [2, 2]

    asyncio.run(asyncio.wait_for(main(), 20))
