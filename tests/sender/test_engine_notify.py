"""The operator is told of each dead letter and each disabling once: by his own command, or at his own URL. What nobody
took is told again later, and not for ever.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from kirimhook.observe import Meter
from kirimhook.sender.engine import Notifier
from kirimhook.sender.engine.notify import LEASE, TRIES
from kirimhook.telling import Command, NotToldError
from kirimhook.testing.clock import Clock
from kirimhook.testing.endpoint import Endpoint, Respond
from tests.sender.databases import Databases
from tests.sender.engines import NOW, counted, running, settings_for, stage

KEEP = "import sys, pathlib; f = pathlib.Path(sys.argv[1]); f.open('a').write(sys.stdin.read())"


class Ear:
    """Takes what it is told, or does not."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.problem: str | None = None

    async def tell(self, told: Any) -> None:
        if self.problem is not None:
            raise NotToldError(self.problem)
        self.told += told["notices"]


def test_once_per_transition(databases: Databases, tmp_path: Path) -> None:
    async def main() -> None:
        clock = Clock(NOW)
        async with stage(databases, clock) as set_up, Endpoint(Respond(410)) as endpoint:
            subscription = await set_up.subscribe(endpoint.url)
            await set_up.publish(subscription, 3)
            one_by_one = settings_for(endpoint.ca, in_flight_per_endpoint=1)
            async with running(set_up, one_by_one, notify=True) as engine:
                await engine.idle()
            kept = tmp_path / "notices"
            meter = Meter()
            command = Command((sys.executable, "-c", KEEP, str(kept)))
            notifiers = [Notifier(set_up.database, command, clock=clock, meter=meter) for _ in range(2)]
            await asyncio.gather(*[notifier.tell() for notifier in notifiers])
            assert [await notifier.tell() for notifier in notifiers] == [0, 0]
            told = [one for line in kept.read_text().splitlines() for one in json.loads(line)["notices"]]
            dead = [one for one in told if one["notice"] == "dead_letter"]
            states = await set_up.states()
            assert sorted(one["delivery_id"] for one in dead) == sorted(id_ for id_ in states if states[id_] == "dead")
            for one in dead:
                assert (one["subscription_id"], one["reason"], one["attempts"]) == (subscription, "gone", 1)
                assert (one["response_status"], one["event_type"]) == (410, "contact.created")
            (disabled,) = [one for one in told if one["notice"] == "subscription_disabled"]
            assert (disabled["subscription_id"], disabled["reason"]) == (subscription, "gone")
            assert len({one["id"] for one in told}) == len(told)
            assert counted(meter, "notices_total") == {"told": len(told)}
            assert await set_up.rows("SELECT * FROM notices") == []

    asyncio.run(main())


def test_nothing_is_kept_where_nobody_is_told(databases: Databases) -> None:
    async def main() -> None:
        async with stage(databases) as set_up, Endpoint(Respond(410)) as endpoint:
            await set_up.publish(await set_up.subscribe(endpoint.url))
            async with running(set_up, settings_for(endpoint.ca)) as engine:
                await engine.idle()
            assert await set_up.rows("SELECT * FROM notices") == []

    asyncio.run(main())


def test_told_again_later_and_not_for_ever(databases: Databases) -> None:
    async def main() -> None:
        clock = Clock(NOW)
        async with stage(databases, clock) as set_up:
            await set_up.change("INSERT INTO notices (id, notice, due_at) VALUES ('one', '{\"a\": 1}', 0)")
            ear = Ear()
            ear.problem = "deaf"
            notifier = Notifier(set_up.database, ear, clock=clock)
            waits = []
            for _ in range(TRIES - 1):
                due = max(await set_up.value("SELECT due_at FROM notices") / 1000, clock.now)
                waits.append(due - clock.now)
                clock.now = due
                assert await notifier.tell() == 0
            assert waits[:5] == [0, 1, 2, 4, 8]
            assert max(waits) <= 300
            await set_up.change("INSERT INTO notices (id, notice, due_at) VALUES ('two', '{}', 0)")
            clock.advance(300)
            assert await notifier.tell() == 0
            assert await set_up.rows("SELECT id FROM notices") == [("two",)]
            ear.problem = None
            clock.advance(300)
            assert await notifier.tell() == 1
            assert ear.told == [{"id": "two"}]

    asyncio.run(main())


def test_who_dies_while_telling_costs_a_lease(databases: Databases) -> None:
    async def main() -> None:
        clock = Clock(NOW)
        async with stage(databases, clock) as set_up:
            await set_up.change("INSERT INTO notices (id, notice, due_at) VALUES ('one', '{}', 0)")
            begun = asyncio.Event()

            class Slow(Ear):
                async def tell(self, told: Any) -> None:
                    begun.set()
                    await asyncio.Event().wait()

            dying = asyncio.create_task(Notifier(set_up.database, Slow(), clock=clock).tell())
            await begun.wait()
            dying.cancel()
            await asyncio.gather(dying, return_exceptions=True)
            ear = Ear()
            other = Notifier(set_up.database, ear, clock=clock)
            assert await other.tell() == 0
            clock.advance(LEASE)
            assert await other.tell() == 1
            assert [one["id"] for one in ear.told] == ["one"]

    asyncio.run(main())
