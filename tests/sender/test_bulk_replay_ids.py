"""A bulk replay of named deliveries takes these and no others: of the subscription, of the status asked for, each once.

What is not there is left out, not refused: it was purged, or ended otherwise, since it was listed.
"""

from __future__ import annotations

import asyncio

import pytest

from kirimhook.contract import ids
from kirimhook.contract.errors import ApiError
from kirimhook.contract.resources import BulkReplay, DeliveryStatus
from kirimhook.sender.model import Rank
from kirimhook.sender.service import BulkReplayRequest, letters
from tests.sender.databases import Databases
from tests.sender.stage import FAIL, REJECT, SUCCEED, TYPES, Stage, at, staged

NOWHERE = ids.make(ids.DELIVERY, 0, bytes(10))


async def replayed(stage: Stage) -> list[str]:
    rows = await stage.rows("SELECT replayed_from FROM deliveries WHERE kind = 'replay' ORDER BY id")
    return [row[0] for row in rows]


async def ended(stage: Stage, *outcomes: str) -> list[str]:
    """One delivery after the other, a second apart, that ended so."""
    made: list[str] = []
    for outcome in outcomes:
        stage.clock.advance(1)
        before = set(await stage.ids())
        await stage.publish()
        (one,) = set(await stage.ids()) - before
        await stage.settled(outcome, one)
        made.append(one)
    return made


def test_these_and_no_others(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            subscription = await stage.subscribe()
            one, two, three, succeeded, failed = await ended(stage, REJECT, REJECT, REJECT, SUCCEED, FAIL)
            named = [three, NOWHERE, one, succeeded, failed, "no id"]
            stage.clock.advance(60)
            done = await stage.tenant.bulk_replay(BulkReplayRequest(subscription, ids=named))
            assert done == BulkReplay(2, capped=False, last_created_at=at(3))
            assert await replayed(stage) == [one, three]
            assert {row[0] for row in await stage.rows("SELECT rank FROM queue WHERE attempts = 0")} == {
                Rank.BACKGROUND
            }
            assert (await stage.tenant.delivery(two)).replayed_by is None
            request = BulkReplayRequest(subscription, DeliveryStatus.FAILED, ids=named)
            assert (await stage.tenant.bulk_replay(request)).enqueued == 1
            assert await stage.wrong() == set()

    asyncio.run(main())


def test_those_of_another_subscription_or_organisation_are_not_there(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            subscription, other = await stage.subscribe(), await stage.subscribe()
            await stage.publish()
            await stage.settle_open(REJECT)
            stage.clock.advance(1)
            everything = await stage.ids("dead")
            (mine,) = await stage.ids("dead", subscription)
            foreign = stage.sender.tenant(await stage.another("other"))
            theirs = (await foreign.create_subscription("https://example.com/hook", TYPES)).id
            nothing = BulkReplay(0, capped=False, last_created_at=None)
            assert await foreign.bulk_replay(BulkReplayRequest(theirs, ids=everything)) == nothing
            assert (await stage.tenant.bulk_replay(BulkReplayRequest(subscription, ids=everything))).enqueued == 1
            assert await replayed(stage) == [mine]
            assert (await stage.account(other))["replays"] == 0

    asyncio.run(main())


def test_unreplayed_leaves_out_what_somebody_replayed_meanwhile(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            subscription = await stage.subscribe()
            dead = await ended(stage, REJECT, REJECT, REJECT)
            stage.clock.advance(1)
            await stage.tenant.replay(dead[1])
            request = BulkReplayRequest(subscription, ids=[dead[0], dead[0], dead[1], dead[2]], unreplayed=True)
            done = await asyncio.gather(*[stage.tenant.bulk_replay(request) for _ in range(4)])
            assert sorted(one.enqueued for one in done) == [0, 0, 0, 2]
            assert sorted(await replayed(stage)) == dead
            again = await stage.tenant.bulk_replay(request._replace(unreplayed=False))
            assert again.enqueued == 3

    asyncio.run(main())


def test_a_thousand_at_once_and_no_more(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            subscription = await stage.subscribe()
            await stage.publish(letters.BULK + 5)
            await stage.run(
                "UPDATE deliveries SET status = 'dead', dead_reason = 'discarded', next_attempt_at = NULL,"
                " finished_at = 1"
            )
            await stage.run("DELETE FROM queue")
            dead = await stage.ids("dead")
            for start in (0, letters.BULK):
                named = dead[start : start + letters.BULK]
                done = await stage.tenant.bulk_replay(BulkReplayRequest(subscription, ids=named))
                assert (done.enqueued, done.capped) == (len(named), False)
            assert sorted(await replayed(stage)) == dead
            with pytest.raises(ApiError, match="at most 1000") as refused:
                await stage.tenant.bulk_replay(BulkReplayRequest(subscription, ids=dead))
            assert (refused.value.code, refused.value.param) == ("invalid_field_value", "ids")

    asyncio.run(main())


def test_ids_go_without_a_type_and_a_window(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            subscription = await stage.subscribe()
            dead = await ended(stage, REJECT)
            request = BulkReplayRequest(subscription, ids=dead)
            for wrong in ({"event_type": TYPES[0]}, {"created_after": at(0)}, {"created_before": at(9)}):
                with pytest.raises(ApiError) as refused:
                    await stage.tenant.bulk_replay(request._replace(**wrong))
                assert (refused.value.code, refused.value.param) == ("invalid_field_value", "ids")
            assert await replayed(stage) == []

    asyncio.run(main())
