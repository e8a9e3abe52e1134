"""A bulk replay takes the oldest first, at most 1000, behind live traffic, and can be gone on with: none is left out.

Only failing deliveries of one subscription, none twice where `unreplayed` is asked for, however many ask at once.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kirimhook.contract.errors import ApiError
from kirimhook.contract.resources import BulkReplay, DeliveryKind, DeliveryStatus, SubscriptionStatus
from kirimhook.sender.model import Rank
from kirimhook.sender.service import AlreadyAnswered, BulkReplayRequest, Changes, DeliveryFilter, Once, letters
from tests.sender.databases import Databases
from tests.sender.stage import FAIL, REJECT, SUCCEED, TYPES, Stage, at, staged

FEW = 5


async def replayed(stage: Stage) -> list[str]:
    """What was replayed, in the order in which the replays were made."""
    rows = await stage.rows("SELECT replayed_from FROM deliveries WHERE kind = 'replay' ORDER BY created_at, id")
    return [row[0] for row in rows]


async def spread(stage: Stage, count: int, step: float = 1) -> list[str]:
    """Dead letters, one a step, oldest first."""
    for _ in range(count):
        stage.clock.advance(step)
        await stage.publish()
    await stage.settle_open(REJECT)
    return await stage.ids("dead")


def test_dead_letters_are_sent_again(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            subscription, other = await stage.subscribe(), await stage.subscribe()
            await spread(stage, 3)
            mine = await stage.ids("dead", subscription)
            stage.clock.advance(60)
            done = await stage.tenant.bulk_replay(BulkReplayRequest(subscription))
            assert done == BulkReplay(3, capped=False, last_created_at=at(3))
            assert await replayed(stage) == mine
            where = DeliveryFilter(kind=DeliveryKind.REPLAY)
            fresh = (await stage.tenant.deliveries(where)).items
            assert {(one.subscription_id, one.status, one.next_attempt_at) for one in fresh} == {
                (subscription, DeliveryStatus.PENDING, at(63))
            }
            by = [(await stage.tenant.delivery(one)).replayed_by for one in mine]
            assert by == [one.id for one in reversed(fresh)]
            assert {row[0] for row in await stage.rows("SELECT rank FROM queue")} == {Rank.BACKGROUND}
            assert (await stage.account(other))["replays"] == 0
            assert await stage.wrong() == set()

    asyncio.run(main())


def test_only_what_was_asked_for(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            subscription = await stage.subscribe()
            by_outcome: dict[tuple[str | None, str], str] = {}
            for outcome in (REJECT, FAIL, SUCCEED, None):
                for event_type in TYPES:
                    stage.clock.advance(1)
                    before = set(await stage.ids())
                    await stage.publish(1, event_type)
                    (one,) = set(await stage.ids()) - before
                    by_outcome[outcome, event_type] = one
                    if outcome is not None:
                        await stage.settled(outcome, one)
            asked = [
                (BulkReplayRequest(subscription), [by_outcome[REJECT, name] for name in TYPES]),
                (BulkReplayRequest(subscription, DeliveryStatus.FAILED), [by_outcome[FAIL, name] for name in TYPES]),
                (BulkReplayRequest(subscription, event_type=TYPES[1]), [by_outcome[REJECT, TYPES[1]]]),
                (BulkReplayRequest(subscription, created_after=at(1)), [by_outcome[REJECT, TYPES[1]]]),
                (BulkReplayRequest(subscription, created_before=at(2)), [by_outcome[REJECT, TYPES[0]]]),
                (BulkReplayRequest(subscription, created_after=at(2)), []),
                (BulkReplayRequest(subscription, unreplayed=True), []),
            ]
            for request, expected in asked:
                stage.clock.advance(1)
                before_it = len(await replayed(stage))
                done = await stage.tenant.bulk_replay(request)
                assert ((await replayed(stage))[before_it:], done.enqueued) == (expected, len(expected)), request
            failed = await stage.tenant.delivery(by_outcome[FAIL, TYPES[0]])
            assert (failed.status, failed.next_attempt_at) == ("failed", at(3 + 10))  # its own attempts go on
            assert await stage.wrong() == set()

    asyncio.run(main())


@pytest.mark.parametrize("by", ["last_created_at", "unreplayed"])
@pytest.mark.parametrize("step", [1.0, 0.5, 0.25])
def test_it_can_be_gone_on_with(databases: Databases, monkeypatch: pytest.MonkeyPatch, by: str, step: float) -> None:
    """Either way each is replayed exactly once, the oldest first."""
    monkeypatch.setattr(letters, "BULK", FEW)

    async def main() -> None:
        async with staged(databases) as stage:
            subscription = await stage.subscribe()
            dead = await spread(stage, 17, step)
            request = BulkReplayRequest(subscription, unreplayed=by == "unreplayed")
            enqueued = []
            capped = True
            while capped:
                stage.clock.advance(1)
                done = await stage.tenant.bulk_replay(request)
                enqueued.append(done.enqueued)
                capped = done.capped
                if by == "last_created_at":
                    request = request._replace(created_after=done.last_created_at)
            assert enqueued == [5, 5, 5, 2]
            assert await replayed(stage) == dead

    asyncio.run(main())


@pytest.mark.parametrize(("of_each", "calls"), [([3, 3, 3], [3, 3, 3]), ([2, 2, 2], [4, 2]), ([1, 4, 1], [5, 1])])
def test_a_millisecond_is_taken_whole(
    databases: Databases, monkeypatch: pytest.MonkeyPatch, of_each: list[int], calls: list[int]
) -> None:
    monkeypatch.setattr(letters, "BULK", FEW)

    async def main() -> None:
        async with staged(databases) as stage:
            subscription = await stage.subscribe()
            for count in of_each:
                stage.clock.advance(1)
                await stage.publish(count)
            await stage.settle_open(REJECT)
            request = BulkReplayRequest(subscription)
            for number, expected in enumerate(calls, 1):
                stage.clock.advance(1)
                done = await stage.tenant.bulk_replay(request)
                assert (done.enqueued, done.capped) == (expected, number < len(calls))
                request = request._replace(created_after=done.last_created_at)
            assert await replayed(stage) == await stage.ids("dead")

    asyncio.run(main())


def test_a_millisecond_of_too_many_loses_none(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> None:
    """It cannot be taken whole: to go on by time alone repeats, `unreplayed` gets through."""
    monkeypatch.setattr(letters, "BULK", FEW)

    async def main() -> None:
        async with staged(databases) as stage:
            subscription = await stage.subscribe()
            await stage.publish(12)
            await stage.settle_open(REJECT)
            request = BulkReplayRequest(subscription, unreplayed=True)
            counts = []
            for _ in range(4):
                stage.clock.advance(1)
                done = await stage.tenant.bulk_replay(request)
                counts.append((done.enqueued, done.capped))
                request = request._replace(created_after=done.last_created_at)
            assert counts == [(5, True), (5, True), (2, False), (0, False)]
            assert sorted(await replayed(stage)) == await stage.ids("dead")

    asyncio.run(main())


def test_a_thousand_and_no_more(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            subscription = await stage.subscribe()
            for _ in range(11):
                stage.clock.advance(1)
                await stage.publish(100)
            await stage.run(  # as if all had been attempted
                "UPDATE deliveries SET status = 'dead', dead_reason = 'discarded', next_attempt_at = NULL,"
                " finished_at = 1"
            )
            await stage.run("DELETE FROM queue")
            done = await stage.tenant.bulk_replay(BulkReplayRequest(subscription))
            assert done == BulkReplay(1000, capped=True, last_created_at=at(10))
            assert (await stage.account(subscription))["replays"] == 1000
            assert await stage.wrong() == set()

    asyncio.run(main())


def test_at_one_time_none_is_replayed_twice(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            subscription = await stage.subscribe()
            dead = await spread(stage, 40)
            request = BulkReplayRequest(subscription, unreplayed=True)
            done = await asyncio.gather(*[stage.tenant.bulk_replay(request) for _ in range(5)])
            assert sum(one.enqueued for one in done) == 40
            assert sorted(await replayed(stage)) == dead
            assert await stage.wrong() == set()

    asyncio.run(main())


def test_a_disabled_subscription_holds_what_it_may(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases, held_bound=3) as stage:
            subscription = await stage.subscribe()
            await spread(stage, 5)
            await stage.tenant.update_subscription(subscription, Changes(status=SubscriptionStatus.DISABLED))
            assert (await stage.tenant.bulk_replay(BulkReplayRequest(subscription))).enqueued == 5
            rows = await stage.rows("SELECT status, dead_reason FROM deliveries WHERE kind = 'replay' ORDER BY id")
            assert rows == [("pending", None)] * 3 + [("dead", "held_full")] * 2
            assert await stage.one("SELECT held FROM subscriptions") == 3
            assert await stage.wrong() == set()

    asyncio.run(main())


def test_it_is_refused(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            subscription = await stage.subscribe()
            await stage.dead(1)
            other = stage.sender.tenant(await stage.another("other"))
            call = stage.tenant.bulk_replay
            assert await refusal(other.bulk_replay(BulkReplayRequest(subscription))) == "resource_not_found"
            for wrong in ("wbs_01HXYZ00000000000000000000", "no\x00", ""):
                assert await refusal(call(BulkReplayRequest(wrong))) == "resource_not_found"
            for status in (DeliveryStatus.SUCCEEDED, DeliveryStatus.PENDING):
                assert await refusal(call(BulkReplayRequest(subscription, status))) == "invalid_field_value"
            assert await refusal(call(BulkReplayRequest(subscription, event_type="\x00"))) == "unknown_event_type"
            await stage.tenant.delete_subscription(subscription)
            assert await refusal(call(BulkReplayRequest(subscription))) == "subscription_deleted"
            assert await replayed(stage) == []

    asyncio.run(main())


def test_once_is_once(databases: Databases) -> None:
    """Also where the subscription was deleted since: the call was answered."""

    async def main() -> None:
        async with staged(databases) as stage:
            subscription = await stage.subscribe()
            await stage.dead(2)
            once = Once("key", b"fingerprint", 202, lambda done: str(done.enqueued).encode())
            await stage.sender.tenant(stage.organisation, once).bulk_replay(BulkReplayRequest(subscription))
            await stage.tenant.delete_subscription(subscription)
            with pytest.raises(AlreadyAnswered) as answered:
                await stage.sender.tenant(stage.organisation, once).bulk_replay(BulkReplayRequest(subscription))
            assert answered.value.body == b"2"
            assert len(await replayed(stage)) == 2

    asyncio.run(main())


async def refusal(call: Any) -> str:
    with pytest.raises(ApiError) as error:
        await call
    return error.value.code
