"""A run goes on whatever becomes of who began it: its task, other processes' housekeeping, none of them looping.

What has ended is purged with the deliveries of its time. No step reads much, however much there is.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, text

from kirimhook.contract.resources import DeliveryStatus
from kirimhook.sender.database import StorageUnavailable
from kirimhook.sender.model import RunStatus
from kirimhook.sender.schema import deliveries
from kirimhook.sender.service import DeliveryFilter, Sender, replaying
from kirimhook.sender.service.letters import where_of
from kirimhook.sender.service.replay_runs import ReplayRun
from kirimhook.sender.service.scope import Scope
from kirimhook.sender.store import replays
from kirimhook.serving.sending.keeping import next_round
from tests.sender.databases import Databases
from tests.sender.explained import rows_read
from tests.sender.stage import DAY, Stage, staged

DEAD = DeliveryFilter(status=DeliveryStatus.DEAD, unreplayed=True)
STEP = 7
MANY = 6000
SOON = 30


@pytest.fixture
def short_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many steps for few deliveries."""
    monkeypatch.setattr(replaying, "STEP", STEP)


async def begun(stage: Stage, dead: int = 3 * STEP) -> ReplayRun:
    await stage.subscribe()
    await stage.dead(dead)
    stage.clock.advance(1)
    return await stage.tenant.start_replay_run(DEAD)


@contextlib.contextmanager
def writing(stage: Stage, monkeypatch: pytest.MonkeyPatch, before: Callable[[], Any]) -> Any:
    """Something happens before each write."""
    write = stage.database.write

    async def wrapped(operation: Any) -> Any:
        await before()
        return await write(operation)

    with monkeypatch.context() as patched:
        patched.setattr(stage.database, "write", wrapped)
        yield


@pytest.mark.usefixtures("short_steps")
def test_the_process_that_began_it_moves_it_to_its_end(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            run = await begun(stage)
            stage.sender.replaying.begin(run.id)
            stage.sender.replaying.begin(run.id)
            async with asyncio.timeout(SOON):
                await stage.sender.replaying.settled()
            done = await stage.tenant.replay_run(run.id)
            assert (done.status, done.enqueued, done.skipped) == (RunStatus.DONE, 3 * STEP, 0)

    asyncio.run(main())


@pytest.mark.usefixtures("short_steps")
def test_storage_that_is_away_is_asked_again(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replaying, "RETRY", 0)

    async def main() -> None:
        async with staged(databases) as stage:
            run = await begun(stage)
            failures = 3

            async def away() -> None:
                nonlocal failures
                failures -= 1
                if failures >= 0:
                    raise StorageUnavailable("disconnected")

            with writing(stage, monkeypatch, away):
                stage.sender.replaying.begin(run.id)
                async with asyncio.timeout(SOON):
                    await stage.sender.replaying.settled()
            assert failures < 0
            assert (await stage.tenant.replay_run(run.id)).enqueued == 3 * STEP

    asyncio.run(main())


@pytest.mark.usefixtures("short_steps")
def test_a_process_that_stops_leaves_it_to_others(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            run = await begun(stage)
            reached = asyncio.Event()

            async def at_the_second() -> None:
                if (await stage.tenant.replay_run(run.id)).enqueued:
                    reached.set()
                    await asyncio.Event().wait()

            with writing(stage, monkeypatch, at_the_second):
                stage.sender.replaying.begin(run.id)
                async with asyncio.timeout(SOON):
                    await reached.wait()
                    await stage.sender.replaying.stop()
            left = await stage.tenant.replay_run(run.id)
            assert (left.status, left.enqueued) == (RunStatus.RUNNING, STEP)

            other = Sender(stage.database, stage.settings, stage.sender.context.sealer, clock=stage.clock)
            kept = await other.keep()
            assert (kept.running, kept.more) == (True, False), "it was moved a moment ago"
            assert next_round(kept, 60) == replaying.LEFT_ALONE
            stage.clock.advance(replaying.LEFT_ALONE)
            rounds = 0
            while (kept := await other.keep()).more:
                rounds += 1
            assert (rounds, kept.running, next_round(kept, 60)) == (3, False, 60)
            done = await stage.tenant.replay_run(run.id)
            assert (done.status, done.enqueued, done.skipped) == (RunStatus.DONE, 3 * STEP, 0)
            assert await stage.wrong() == set()

    asyncio.run(main())


@pytest.mark.usefixtures("short_steps")
def test_who_was_overtaken_lets_go(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two adopt the same run: one of them ends it, the other has nothing left to do, and nothing is made twice."""

    async def main() -> None:
        async with staged(databases) as stage:
            run = await begun(stage)
            stage.clock.advance(replaying.LEFT_ALONE)
            context = stage.sender.context
            first, second = replaying.Adopter(context), replaying.Adopter(context)
            assert await first.step()
            while await second.step() or await first.step():
                pass
            done = await stage.tenant.replay_run(run.id)
            if done.status is RunStatus.RUNNING:  # the one let go when it was overtaken, and it is too early for more
                stage.clock.advance(replaying.LEFT_ALONE)
                while await second.step():
                    pass
            done = await stage.tenant.replay_run(run.id)
            assert (done.status, done.enqueued) == (RunStatus.DONE, 3 * STEP)

    asyncio.run(main())


def test_what_has_ended_is_purged_with_the_deliveries_of_its_time(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases, retention=10 * DAY) as stage:
            ended = await begun(stage, 3)
            while await replaying.step(stage.sender.context, ended.id):
                pass
            stage.clock.advance(9 * DAY)
            young = await stage.tenant.start_replay_run(DEAD)
            await stage.tenant.stop_replay_run(young.id)
            await stage.keep()
            assert {run.id for run in (await stage.tenant.replay_runs()).items} == {ended.id, young.id}
            assert await stage.one("SELECT count(*) FROM replay_steps") == 1
            stage.clock.advance(2 * DAY)
            await stage.keep()
            assert [run.id for run in (await stage.tenant.replay_runs()).items] == [young.id]
            assert await stage.one("SELECT count(*) FROM replay_steps") == 0

    asyncio.run(main())


@pytest.mark.parametrize("whose", ["subscription", "organisation"])
@pytest.mark.parametrize("unreplayed", [True, False])
@pytest.mark.parametrize("sought", [{}, {"event_type": "contact.updated"}])
def test_neither_a_step_nor_a_count_reads_much(
    databases: Databases, whose: str, unreplayed: bool, sought: dict[str, Any]
) -> None:
    """Of many dead letters that were replayed before, many that were not, and others that are not dead."""

    async def main() -> None:
        async with staged(databases) as stage:
            subscription = await stage.subscribe()
            await stage.dead(1)
            template = (await stage.ids())[0]
            await stage.database.write(lambda connection: _multiply(connection, template, MANY))
            where = DEAD._replace(unreplayed=unreplayed, **sought)
            if whose == "subscription":
                where = where._replace(subscription_id=subscription)
            place = where_of(Scope(stage.sender.context, stage.organisation), where, None)
            read = await rows_read(stage.database, lambda connection: replays.following(connection, place, 50, 200))
            assert read <= 6 * 200, read
            read = await rows_read(stage.database, lambda connection: replays.count(connection, place, 300))
            assert read <= 6 * 300, read
            counted = await stage.database.read(lambda connection: replays.count(connection, place, 300))
            assert counted == ((0 if sought else 300), True)

    asyncio.run(main())


def _multiply(connection: Connection, template: str, many: int) -> None:
    """Copies of a dead letter: as many replayed, not replayed, succeeded."""
    columns = deliveries.c.keys()
    for prefix, changes in (
        ("1", {"replayed_by": "'x'"}),
        ("2", {}),
        ("3", {"status": "'succeeded'", "dead_reason": "NULL"}),
    ):
        changed = {"id": f"'wbd_{prefix}' || substr('00000000000' || n, -10)", "original": "NULL", **changes}
        if connection.dialect.name == "postgresql":
            changed["id"] = f"'wbd_{prefix}' || lpad(n::text, 10, '0')"
        values = ", ".join(changed.get(column, column) for column in columns)
        source = f"SELECT {values} FROM deliveries, numbers WHERE id = :id"  # constants of this test
        numbers = f"WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {many})"
        statement = f"{numbers} INSERT INTO deliveries ({', '.join(columns)}) {source}"
        connection.execute(text(statement), {"id": template})
    connection.execute(text("ANALYZE deliveries"))
