"""What engines sum up by the minute is what came of the attempts that are written down, however many engines there
were, and whenever they wrote; what a killed one had not written yet is all that is missing.

The independent count is made of the rows of `attempts`, by when each ended and what it was answered.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

from kirimhook.sender.service import Overview, Sender
from kirimhook.testing.clock import Clock
from kirimhook.testing.endpoint import Authority, Endpoint, Request, Respond
from kirimhook.testing.endpoint.line import Line
from tests.sender.databases import Databases
from tests.sender.engines import MASTER_KEY, NOW, SEALER, Stage, play, running, settings_for, stage

DAY = 24 * 60
Counted = Counter[tuple[datetime, str]]


async def overview(stage: Stage, window: int = 2 * DAY, **options: Any) -> Overview:
    organisation = options.pop("organisation", "org_1")
    sender = Sender(stage.database, settings_for(), SEALER, clock=stage.clock)
    return await sender.tenant(organisation).overview(window, **options)


def shown(overview: Overview) -> Counted:
    """Attempts by the step in which they ended, and what came of them."""
    found: Counted = Counter()
    for step in overview.steps:
        for outcome in ("succeeded", "failed", "dead"):
            found[step.at, outcome] += getattr(step.traffic, outcome)
    return +found


async def attempted(stage: Stage, step_minutes: int, subscription: str | None = None) -> Counted:
    """The same, of the attempts themselves. The clock stands still while one is made."""
    found: Counted = Counter()
    rows = await stage.rows(
        "SELECT d.subscription_id, a.record FROM attempts a JOIN deliveries d ON d.id = a.delivery_id"
    )
    for who, text in rows:
        record = json.loads(text)
        at = datetime.fromisoformat(record["started_at"])
        minute = at.replace(minute=at.minute - at.minute % step_minutes, second=0, microsecond=0)
        ended = "dead" if record["next_attempt_at"] is None else "failed"
        outcome = "succeeded" if 200 <= (record["response_status"] or 0) < 300 else ended
        if subscription in {None, who}:
            found[minute, outcome] += 1
    return found


def by_turns(*answers: int) -> Any:
    """A different answer at each attempt of a delivery; the last one for ever."""

    def choose(request: Request) -> Respond:
        number = int(request.header("X-Kirim-Attempt") or 1)
        return Respond(answers[min(number, len(answers)) - 1])

    return choose


def test_sums_are_those_of_the_attempts(databases: Databases) -> None:
    """Over hours of retries by two engines, for three subscriptions: in all, and of each."""

    async def main() -> None:
        clock = Clock(NOW)
        async with (
            stage(databases, clock) as set_up,
            Endpoint(choose=by_turns(500, 503, 200)) as slow,
            Endpoint(choose=by_turns(500)) as dead,
            Endpoint() as good,
        ):
            urls = [endpoint.url for endpoint in (slow, dead, good)]
            subscriptions = [await set_up.subscribe(url) for url in urls]
            for number, subscription in enumerate(subscriptions):
                await set_up.publish(subscription, 5 + number)
                await set_up.publish(subscription, 2, kind="test")
            several = [settings_for(endpoint.ca, schedule=(0, 60, 600, 3600)) for endpoint in (slow, dead)]
            async with running(set_up, several[0]) as one, running(set_up, several[1]) as other:
                await asyncio.gather(play(set_up, one, clock), other.idle())
            seen = await overview(set_up)
            assert seen.step_minutes == 60
            assert shown(seen) == await attempted(set_up, 60) != Counter()
            assert seen.total.attempts == await set_up.value("SELECT count(*) FROM attempts")
            for subscription in subscriptions:
                alone = await overview(set_up, subscription_id=subscription)
                assert shown(alone) == await attempted(set_up, 60, subscription) != Counter()
                assert [busy.id for busy in alone.busiest] == [subscription]

    asyncio.run(main())


def test_minutes_are_those_in_which_attempts_ended(databases: Databases) -> None:
    async def main() -> None:
        clock = Clock(NOW)
        async with stage(databases, clock) as set_up, Endpoint(choose=by_turns(500, 200)) as endpoint:
            subscription = await set_up.subscribe(endpoint.url)
            async with running(set_up, settings_for(endpoint.ca, schedule=(0, 60, 60))) as engine:
                for count in (3, 1, 4):
                    await set_up.publish(subscription, count)
                    await play(set_up, engine, clock)
                    clock.now += 120
            seen = await overview(set_up, 60)
            assert (seen.step_minutes, len(seen.steps)) == (1, 60)
            assert shown(seen) == await attempted(set_up, 1)
            assert len({at for at, _ in shown(seen)}) >= 3
            assert (seen.total.succeeded, seen.total.failed) == (8, 8)
            assert (seen.total.success_rate, seen.total.delivered_rate) == (0.5, 1.0)

    asyncio.run(main())


def test_times_are_of_original_deliveries_from_publish_to_success(databases: Databases) -> None:
    async def main() -> None:
        clock = Clock(NOW)
        async with stage(databases, clock) as set_up, Endpoint() as endpoint:
            subscription = await set_up.subscribe(endpoint.url)
            for seconds in (2, 30, 400):
                await set_up.publish(subscription, created_at=int((NOW - seconds) * 1000))
            await set_up.publish(subscription, kind="replay", created_at=int((NOW - 9000) * 1000))
            async with running(set_up, settings_for(endpoint.ca)) as engine:
                await engine.idle()
            total = (await overview(set_up)).total
            assert total.succeeded == 4
            assert total.p50_ms is not None
            assert total.p99_ms is not None
            assert abs(total.p50_ms - 30_000) < 0.08 * 30_000
            assert abs(total.p99_ms - 400_000) < 0.08 * 400_000

    asyncio.run(main())


def test_it_is_written_while_the_engine_runs(databases: Databases) -> None:
    async def main() -> None:
        async with stage(databases, time.time) as set_up, Endpoint() as endpoint:
            subscription = await set_up.subscribe(endpoint.url)
            await set_up.publish(subscription, 7)
            async with running(set_up, settings_for(endpoint.ca)), asyncio.timeout(20):
                while (await overview(set_up, 60)).total.succeeded < 7:  # noqa: ASYNC110  # another task writes it, and tells nobody
                    await asyncio.sleep(0.05)
                rows = "SELECT count(*) FROM minutes WHERE subscription_id = :s"
                assert await set_up.value(rows, s=subscription) == await set_up.value(rows, s="") > 0

    asyncio.run(main())


def test_a_killed_engine_costs_what_it_had_not_written(databases: Databases, tmp_path: Path) -> None:
    """Never more than came of attempts; and what the next engine does is all there."""

    async def main() -> None:
        authority, let_go = Authority(tmp_path), asyncio.Event()

        async def hold(line: Line) -> None:
            await let_go.wait()
            await Respond()(line)

        def choose(request: Request) -> Any:
            return hold if len(endpoint.requests) > 12 else Respond()

        endpoint = Endpoint(choose=choose, authority=authority)
        async with stage(databases, time.time) as set_up, endpoint:
            await set_up.publish(await set_up.subscribe(endpoint.url), 20)
            child = subprocess.Popen(  # noqa: ASYNC220  # started once, and killed
                [sys.executable, "-m", "tests.sender.engine_process", databases.url, str(authority.ca)],
                env={**os.environ, "MASTER_KEY": MASTER_KEY},
            )
            try:
                await endpoint.received(13)
                async with asyncio.timeout(20):
                    while not (written := (await overview(set_up, 60)).total.attempts):  # noqa: ASYNC110  # the engine is another process
                        await asyncio.sleep(0.02)
            finally:
                child.send_signal(signal.SIGKILL)
                child.wait()
            let_go.set()
            before = await set_up.value("SELECT count(*) FROM attempts")
            assert 0 < written <= before < 20
            async with running(set_up, settings_for(authority.ca)) as engine:
                async with asyncio.timeout(20):
                    while await set_up.value("SELECT count(*) FROM attempts") < 20:  # noqa: ASYNC110  # leases of a killed engine run out by themselves
                        await asyncio.sleep(0.02)
                await engine.idle()
            seen = (await overview(set_up, 60)).total.attempts
            assert written + 20 - before <= seen <= 20

    asyncio.run(main())
