"""Nothing joins a deleted subscription; what it had open becomes dead letters, in batches; all stays listed."""

from __future__ import annotations

import asyncio

import pytest

from kirimhook.contract.errors import ApiError
from kirimhook.contract.resources import SubscriptionStatus
from kirimhook.sender.service import Changes, DeliveryFilter
from tests.sender.databases import Databases
from tests.sender.stage import FAIL, SUCCEED, staged


@pytest.mark.parametrize("disabled", [False, True])
def test_what_is_open_becomes_dead_letters(databases: Databases, disabled: bool) -> None:
    async def main() -> None:
        async with staged(databases, keep_batch=3) as stage:
            subscription, other = await stage.subscribe(), await stage.subscribe()
            await stage.publish(9)
            mine = await stage.ids(subscription=subscription)
            await stage.settled(SUCCEED, mine[0])
            await stage.settled(FAIL, mine[1])
            if disabled:
                change = Changes(status=SubscriptionStatus.DISABLED)
                await stage.tenant.update_subscription(subscription, change)
            stage.clock.advance(5)
            await stage.tenant.delete_subscription(subscription)
            account = await stage.account(subscription)
            assert (account["status"], account["dead"], account["open"], account["held"]) == ("deleted", 3, 5, 0)
            assert await stage.wrong() == set()  # half done is accounted for as well
            assert await stage.keep() == 3  # 3, 2, and nothing
            account = await stage.account(subscription)
            assert (account["succeeded"], account["dead"], account["open"]) == (1, 8, 0)
            assert (await stage.account(other))["open"] == 9
            listed = (await stage.tenant.deliveries(DeliveryFilter(subscription), 100)).items
            assert [one.id for one in listed] == list(reversed(mine))
            assert {one.dead_reason for one in listed} == {None, "subscription_deleted"}
            assert {one.next_attempt_at for one in listed} == {None}
            assert await stage.wrong() == set()

    asyncio.run(main())


def test_nothing_matches_it_any_more(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            subscription = await stage.subscribe()
            await stage.tenant.delete_subscription(subscription)
            await stage.publish(3)
            assert await stage.ids() == []
            assert await stage.rows("SELECT count(*) FROM subscribed_types") == [(0,)]
            assert await stage.rows("SELECT count(*) FROM secrets") == [(0,)]
            for call in (
                stage.tenant.subscription(subscription),
                stage.tenant.delete_subscription(subscription),
                stage.tenant.update_subscription(subscription, Changes(status=SubscriptionStatus.ACTIVE)),
            ):
                with pytest.raises(ApiError) as error:
                    await call
                assert error.value.code == "resource_not_found"
            assert await stage.wrong() == set()

    asyncio.run(main())


@pytest.mark.parametrize("wrong", ["wbs_01HXYZ00000000000000000000", "", "no\x00"])
def test_what_is_not_there_is_not_found(databases: Databases, wrong: str) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            with pytest.raises(ApiError) as error:
                await stage.tenant.delete_subscription(wrong)
            assert error.value.code == "resource_not_found"

    asyncio.run(main())


def test_not_another_organisations(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            subscription = await stage.subscribe()
            other = stage.sender.tenant(await stage.another("other"))
            with pytest.raises(ApiError) as error:
                await other.delete_subscription(subscription)
            assert error.value.code == "resource_not_found"
            assert (await stage.tenant.subscription(subscription)).id == subscription

    asyncio.run(main())


def test_deleted_while_all_publish(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases, keep_batch=5) as stage:
            subscriptions = [await stage.subscribe() for _ in range(3)]

            async def publishing() -> None:
                for _ in range(10):
                    await stage.publish(5)

            async def deleting() -> None:
                for subscription in subscriptions:
                    await stage.tenant.delete_subscription(subscription)

            await asyncio.gather(publishing(), deleting(), publishing())
            await stage.keep()
            assert await stage.rows("SELECT count(*) FROM queue") == [(0,)]
            assert await stage.wrong() == set()

    asyncio.run(main())
