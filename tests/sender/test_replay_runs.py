"""A replay of all that match takes what is counted: each once, in steps, behind live traffic, however many move it.

What it makes is not taken in when it dies again; what cannot be replayed is skipped and counted; a stop stops it.
"""

from __future__ import annotations

import asyncio
from datetime import UTC
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kirimhook.contract.errors import ApiError
from kirimhook.contract.resources import DeliveryKind, DeliveryStatus, SubscriptionStatus
from kirimhook.sender.model import Rank, RunStatus
from kirimhook.sender.service import Changes, DeliveryFilter, replay_runs, replaying
from kirimhook.sender.service.replay_runs import ReplayRun
from tests.sender.databases import Databases
from tests.sender.stage import FAIL, REJECT, SUCCEED, TYPES, Stage, at, staged

DEAD = DeliveryFilter(status=DeliveryStatus.DEAD, unreplayed=True)
STEP = 7


@pytest.fixture(autouse=True)
def short_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many steps for few deliveries."""
    monkeypatch.setattr(replaying, "STEP", STEP)
    monkeypatch.setattr(replaying, "LOOK", 3 * STEP)


async def moved(stage: Stage, run: ReplayRun) -> ReplayRun:
    """The run at its end."""
    while await replaying.step(stage.sender.context, run.id):
        pass
    return await stage.tenant.replay_run(run.id)


async def begun(stage: Stage, where: DeliveryFilter = DEAD) -> ReplayRun:
    stage.clock.advance(1)
    return await stage.tenant.start_replay_run(where)


async def originals(stage: Stage) -> list[str]:
    """What was replayed, in the order in which the replays were made."""
    rows = await stage.rows("SELECT replayed_from FROM deliveries WHERE kind = 'replay' ORDER BY id")
    return [row[0] for row in rows]


def test_all_that_match_go_again_each_once(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            await stage.subscribe()
            await stage.subscribe()
            await stage.dead(10)
            await stage.publish(3)  # these are not dead
            expected = await stage.ids("dead")
            stage.clock.advance(1)
            assert await stage.tenant.count_matching(DEAD, 100) == (20, False)
            run = await begun(stage)
            assert (run.status, run.matched, run.enqueued, run.where) == (RunStatus.RUNNING, 20, 0, DEAD)
            done = await moved(stage, run)
            assert (done.status, done.enqueued, done.skipped) == (RunStatus.DONE, 20, 0)
            assert sorted(await originals(stage)) == expected
            assert await stage.tenant.count_matching(DEAD, 100) == (0, False)
            query = "SELECT q.rank FROM queue q JOIN deliveries d ON d.id = q.delivery_id WHERE d.kind = 'replay'"
            assert {row[0] for row in await stage.rows(query)} == {Rank.BACKGROUND}
            assert await stage.wrong() == set()

    asyncio.run(main())


def test_only_what_the_filter_says(databases: Databases) -> None:
    """Against the list of the same filter, which is found in another way."""

    async def main() -> None:
        async with staged(databases) as stage:
            first, _ = await stage.subscribe(), await stage.subscribe()
            for number in range(12):
                stage.clock.advance(1)
                await stage.publish(2, TYPES[number % 2])
                await stage.settle_open((REJECT, FAIL, SUCCEED)[number % 3])
            filters = [
                DEAD._replace(subscription_id=first),
                DEAD._replace(event_type=TYPES[1]),
                DEAD._replace(created_after=at(3), created_before=at(9)),
                DEAD._replace(status=DeliveryStatus.FAILED),
                DEAD._replace(kind=DeliveryKind.TEST),
                DEAD._replace(unreplayed=False, subscription_id=first, event_type=TYPES[0]),
            ]
            for where in filters:
                stage.clock.advance(1)
                listed = [one.id for one in (await stage.tenant.deliveries(where, 100)).items]
                before = set(await originals(stage))
                run = await moved(stage, await begun(stage, where))
                assert (run.matched, run.enqueued) == (len(listed), len(listed)), where
                taken = await stage.rows(
                    "SELECT replayed_from FROM deliveries WHERE created_at >= :now AND kind = 'replay'",
                    now=int(stage.clock() * 1000),
                )
                assert sorted(row[0] for row in taken) == sorted(listed), where
                assert where.unreplayed is False or not before & set(listed)

    asyncio.run(main())


def test_a_look_at_few_rows_takes_many_steps_and_misses_none(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            await stage.subscribe()
            for number in range(8):
                await stage.dead(20 if number % 4 else 1, TYPES[1] if number % 4 else TYPES[0])
            run = await moved(stage, await begun(stage, DEAD._replace(event_type=TYPES[0])))
            assert (run.status, run.enqueued, run.skipped) == (RunStatus.DONE, 2, 0)

    asyncio.run(main())


def test_replays_that_die_again_are_not_taken_in(databases: Databases) -> None:
    """Not even while the run goes on, and not by a process whose clock is behind."""

    async def main() -> None:
        async with staged(databases) as stage:
            await stage.subscribe()
            await stage.dead(3 * STEP)
            run = await begun(stage)
            steps = 0
            going = True
            while going:
                stage.clock.now -= 0.25
                going = await replaying.step(stage.sender.context, run.id)
                await stage.settle_open(REJECT)
                steps += 1
                assert steps < 10
            assert (await stage.tenant.replay_run(run.id)).enqueued == 3 * STEP
            assert len(await originals(stage)) == 3 * STEP

    asyncio.run(main())


def test_of_many_that_move_one_run_one_has_its_way(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage, databases.opened() as another:
            await stage.subscribe()
            await stage.dead(40)
            expected = await stage.ids("dead")
            run = await begun(stage)
            other = Stage(another, keep_batch=999)  # another seed
            other.clock.now = stage.clock.now
            contexts = [stage.sender.context, other.sender.context] * 2
            while (await stage.tenant.replay_run(run.id)).status is RunStatus.RUNNING:
                await asyncio.gather(*[replaying.step(context, run.id) for context in contexts])
            done = await stage.tenant.replay_run(run.id)
            assert (done.enqueued, done.skipped) == (40, 0)
            assert sorted(await originals(stage)) == expected
            assert await stage.wrong() == set()

    asyncio.run(main())


def test_what_cannot_be_replayed_is_skipped_and_counted(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            kept, deleted, disabled = [await stage.subscribe() for _ in range(3)]
            await stage.dead(3)
            await stage.tenant.delete_subscription(deleted)
            changes = Changes(status=SubscriptionStatus.DISABLED)
            await stage.tenant.update_subscription(disabled, changes)
            await stage.run("UPDATE deliveries SET event_id = '' WHERE event_id = 'evt_0'")
            await stage.run("UPDATE events SET erased_at = 1, event_id = '', body = :b WHERE event_id = 'evt_0'", b=b"")
            run = await moved(stage, await begun(stage))
            assert (run.matched, run.enqueued, run.skipped) == (9, 4, 5)
            made = await stage.rows("SELECT subscription_id, status FROM deliveries WHERE kind = 'replay'")
            assert sorted(made) == sorted([(kept, "pending"), (disabled, "pending")] * 2)
            assert await stage.one("SELECT held FROM subscriptions WHERE id = :id", id=disabled) == 2
            assert await stage.wrong() == set()
            with pytest.raises(ApiError, match="deleted"):
                await begun(stage, DEAD._replace(subscription_id=deleted))

    asyncio.run(main())


def test_what_was_replayed_or_changed_since_it_was_found_is_skipped(
    databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            await stage.subscribe()
            await stage.dead(3)
            first = (await stage.ids("dead"))[0]
            run = await begun(stage)
            write = stage.database.write
            monkeypatch.undo()

            async def slow(operation: Any) -> Any:
                monkeypatch.setattr(stage.database, "write", write)
                await stage.tenant.replay(first)  # between the search and the step
                return await write(operation)

            monkeypatch.setattr(stage.database, "write", slow)
            done = await moved(stage, run)
            assert (done.enqueued, done.skipped) == (2, 1)

    asyncio.run(main())


def test_a_stop_stops_it_between_two_steps(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            await stage.subscribe()
            await stage.dead(3 * STEP)
            run = await begun(stage)
            assert await replaying.step(stage.sender.context, run.id)
            stopped = await stage.tenant.stop_replay_run(run.id)
            assert (stopped.status, stopped.enqueued) == (RunStatus.STOPPED, STEP)
            assert not await replaying.step(stage.sender.context, run.id)
            assert len(await originals(stage)) == STEP
            rest = await moved(stage, await begun(stage))
            assert rest.enqueued == 2 * STEP
            assert (await stage.tenant.stop_replay_run(rest.id)).status is RunStatus.DONE

    asyncio.run(main())


def test_outcomes_are_those_of_what_it_made(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_runs, "MOST_TALLIED", 3 * STEP)

    async def main() -> None:
        async with staged(databases) as stage:
            await stage.subscribe()
            await stage.dead(4 * STEP)
            run = await moved(stage, await begun(stage))
            await stage.publish(5)
            rows = await stage.rows("SELECT id FROM deliveries WHERE kind = 'replay' ORDER BY id")
            fresh = [row[0] for row in rows]
            await stage.settled(SUCCEED, *fresh[:4])
            await stage.settled(FAIL, *fresh[4:6])
            await stage.settled(REJECT, *fresh[6:7])
            outcomes = (await stage.tenant.replay_run(run.id)).outcomes
            assert outcomes == (3 * STEP, 4, 1, 2, 3 * STEP - 7)

    asyncio.run(main())


def test_what_a_run_refuses(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            subscription = await stage.subscribe()
            for where, code in [
                (DeliveryFilter(), "invalid_field_value"),
                (DeliveryFilter(status=DeliveryStatus.SUCCEEDED), "invalid_field_value"),
                (DEAD._replace(event_id="evt_1"), "invalid_field_value"),
                (DEAD._replace(event_type="?"), "unknown_event_type"),
                (DEAD._replace(subscription_id="wbs_none"), "resource_not_found"),
            ]:
                for refused in (stage.tenant.start_replay_run(where), stage.tenant.count_matching(where, 10)):
                    with pytest.raises(ApiError) as caught:
                        await refused
                    assert caught.value.code == code, where
            stranger = stage.sender.tenant(await stage.another("other"))
            with pytest.raises(ApiError, match="no such subscription"):
                await stranger.start_replay_run(DEAD._replace(subscription_id=subscription))
            assert await stage.one("SELECT count(*) FROM replay_runs") == 0

    asyncio.run(main())


def test_organisations_do_not_see_each_other(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            await stage.subscribe()
            await stage.dead(2)
            mine = await begun(stage)
            stranger = stage.sender.tenant(await stage.another("other"))
            assert await stranger.count_matching(DEAD, 10) == (0, False)
            assert (await stranger.replay_runs()).items == []
            for refused in (
                stranger.replay_run(mine.id),
                stranger.stop_replay_run(mine.id),
                stranger.start_replay_run(DEAD, mine.id),
            ):
                with pytest.raises(ApiError, match="no such replay"):
                    await refused
            theirs = await stranger.start_replay_run(DEAD)
            while await replaying.step(stage.sender.context, theirs.id):
                pass
            assert await originals(stage) == []
            assert (await stage.tenant.replay_run(mine.id)).status is RunStatus.RUNNING

    asyncio.run(main())


def test_a_form_sent_twice_begins_one_run_and_there_is_a_bound(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            await stage.subscribe()
            await stage.dead(2)
            run_id = stage.tenant.new_replay_run_id()
            runs = await asyncio.gather(*[stage.tenant.start_replay_run(DEAD, run_id) for _ in range(3)])
            assert {run.id for run in runs} == {run_id}
            assert len((await stage.tenant.replay_runs()).items) == 1
            for _ in range(replay_runs.MOST_RUNNING - 1):
                await stage.tenant.start_replay_run(DEAD)
            with pytest.raises(ApiError, match="running already"):
                await stage.tenant.start_replay_run(DEAD)
            await stage.tenant.stop_replay_run(run_id)
            assert (await stage.tenant.start_replay_run(DEAD)).status is RunStatus.RUNNING

    asyncio.run(main())


def test_runs_are_listed_newest_first(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            made = [(await begun(stage)).id for _ in range(5)]
            page = await stage.tenant.replay_runs(2)
            seen = [run.id for run in page.items]
            while page.next_cursor:
                page = await stage.tenant.replay_runs(2, page.next_cursor)
                seen += [run.id for run in page.items]
            assert seen == made[::-1]
            with pytest.raises(ApiError, match="cursor"):
                await stage.tenant.replay_runs(2, "x")
            with pytest.raises(ApiError, match="items"):
                await stage.tenant.replay_runs(0)

    asyncio.run(main())


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.builds(
        DeliveryFilter,
        subscription_id=st.none() | st.text(),
        status=st.sampled_from([DeliveryStatus.DEAD, DeliveryStatus.FAILED]),
        event_type=st.none() | st.text(),
        event_id=st.none(),
        kind=st.none() | st.sampled_from(DeliveryKind),
        unreplayed=st.booleans(),
        created_after=st.none() | st.datetimes(timezones=st.just(UTC)),
        created_before=st.none() | st.datetimes(timezones=st.just(UTC)),
    )
)
def test_a_filter_is_read_as_it_was_written(where: DeliveryFilter) -> None:
    assert replay_runs.filter_of(replay_runs.to_json(where)) == where
