"""A replay is a fresh delivery of the same event: the original stays as it is, and says by what it was replayed.

Any delivery can be replayed but one whose subscription was deleted, and none of another organisation.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kirimhook.contract.errors import ApiError
from kirimhook.contract.resources import DeliveryKind, DeliveryStatus, SubscriptionStatus
from kirimhook.sender.model import Rank
from kirimhook.sender.service import AlreadyAnswered, Changes, Once
from tests.sender.databases import Databases
from tests.sender.stage import FAIL, REJECT, SUCCEED, at, staged


@pytest.mark.parametrize("ended", [None, FAIL, SUCCEED, REJECT])
def test_the_original_keeps_its_account(databases: Databases, ended: str | None) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            subscription = await stage.subscribe()
            await stage.publish()
            (original,) = await stage.ids()
            if ended is not None:
                await stage.settled(ended, original)
            before = await stage.tenant.delivery(original)
            stage.clock.advance(60)
            receipt = await stage.tenant.replay(original)
            after, fresh = await stage.tenant.delivery(original), await stage.tenant.delivery(receipt.id)
            changed = {name for name in before.to_json() if getattr(before, name, 0) != getattr(after, name, 0)}
            assert changed == {"replayed_by"}
            assert (after.replayed_by, receipt.replayed_from, receipt.status) == (receipt.id, original, "pending")
            assert (fresh.kind, fresh.status, fresh.replayed_from) == ("replay", "pending", original)
            assert (fresh.event_id, fresh.event_type, fresh.source) == (
                before.event_id,
                before.event_type,
                before.source,
            )
            assert (fresh.created_at, fresh.next_attempt_at, fresh.attempt_count) == (at(60), at(60), 0)
            assert (fresh.subscription_id, fresh.max_attempts, fresh.attempts) == (subscription, 8, ())
            queued = await stage.rows("SELECT rank, due_at FROM queue WHERE delivery_id = :id", id=receipt.id)
            assert queued == [(Rank.LIVE, int(at(60).timestamp() * 1000))]
            assert await stage.wrong() == set()
            account = await stage.account(subscription)
            assert (account["originals"], account["replays"]) == (1, 1)

    asyncio.run(main())


def test_a_failed_original_keeps_its_own_next_attempt(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            await stage.subscribe()
            await stage.publish()
            (original,) = await stage.ids()
            await stage.settled(FAIL, original)
            receipt = await stage.tenant.replay(original)
            await stage.settled(SUCCEED, receipt.id)
            after = await stage.tenant.delivery(original)
            assert (after.status, after.next_attempt_at) == ("failed", at(10))
            assert [row[0] for row in await stage.rows("SELECT delivery_id FROM queue")] == [original]
            assert await stage.wrong() == set()

    asyncio.run(main())


def test_the_last_replay_is_named(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            await stage.subscribe()
            await stage.dead(1)
            (original,) = await stage.ids()
            first, second = await stage.tenant.replay(original), await stage.tenant.replay(original)
            again = await stage.tenant.replay(first.id)
            assert (await stage.tenant.delivery(original)).replayed_by == second.id
            assert (await stage.tenant.delivery(first.id)).replayed_by == again.id
            assert (await stage.tenant.delivery(again.id)).replayed_from == first.id
            assert await stage.wrong() == set()

    asyncio.run(main())


def test_none_of_a_deleted_subscription(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            subscription = await stage.subscribe()
            await stage.dead(1)
            (original,) = await stage.ids()
            await stage.tenant.delete_subscription(subscription)
            assert await refusal(stage.tenant.replay(original)) == ("subscription_deleted", 409)
            assert await stage.ids() == [original]
            assert (await stage.tenant.delivery(original)).replayed_by is None

    asyncio.run(main())


@pytest.mark.parametrize("wrong", ["wbd_01HXYZ00000000000000000000", "wbd_", "", "no\x00", "wbd_é", "\ud800"])
def test_none_that_does_not_exist(databases: Databases, wrong: str) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            assert await refusal(stage.tenant.replay(wrong)) == ("resource_not_found", 404)
            assert await refusal(stage.tenant.delivery(wrong)) == ("resource_not_found", 404)

    asyncio.run(main())


def test_none_of_another_organisation(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            await stage.subscribe()
            await stage.dead(1)
            (original,) = await stage.ids()
            other = stage.sender.tenant(await stage.another("other"))
            assert await refusal(other.replay(original)) == ("resource_not_found", 404)
            assert await refusal(other.delivery(original)) == ("resource_not_found", 404)
            assert await stage.ids() == [original]

    asyncio.run(main())


def test_it_is_held_where_its_subscription_is_disabled(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases, held_bound=2) as stage:
            subscription = await stage.subscribe()
            await stage.dead(1)
            (original,) = await stage.ids()
            await stage.tenant.update_subscription(subscription, Changes(status=SubscriptionStatus.DISABLED))
            receipts = [await stage.tenant.replay(original) for _ in range(3)]
            pending, dead = DeliveryStatus.PENDING, DeliveryStatus.DEAD
            assert [receipt.status for receipt in receipts] == [pending, pending, dead]
            full = await stage.tenant.delivery(receipts[-1].id)
            assert (full.status, full.dead_reason, full.kind) == ("dead", "held_full", DeliveryKind.REPLAY)
            assert await stage.one("SELECT held FROM subscriptions") == 2
            assert await stage.wrong() == set()

    asyncio.run(main())


def test_at_one_time_each_makes_its_own(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            await stage.subscribe()
            await stage.dead(1)
            (original,) = await stage.ids()
            receipts = await asyncio.gather(*[stage.tenant.replay(original) for _ in range(6)])
            assert len({receipt.id for receipt in receipts}) == 6
            assert (await stage.tenant.delivery(original)).replayed_by in {receipt.id for receipt in receipts}
            assert await stage.wrong() == set()

    asyncio.run(main())


def test_once_is_once(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            await stage.subscribe()
            await stage.dead(1)
            (original,) = await stage.ids()
            once = Once("key", b"fingerprint", 202, lambda receipt: receipt.id.encode())
            receipt = await stage.sender.tenant(stage.organisation, once).replay(original)
            with pytest.raises(AlreadyAnswered) as answered:
                await stage.sender.tenant(stage.organisation, once).replay(original)
            assert (answered.value.status, answered.value.body) == (202, receipt.id.encode())
            assert sorted(await stage.ids()) == sorted([original, receipt.id])

    asyncio.run(main())


async def refusal(call: Any) -> tuple[str, int]:
    with pytest.raises(ApiError) as error:
        await call
    return error.value.code, error.value.status
