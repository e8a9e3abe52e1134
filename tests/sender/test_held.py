"""A disabled subscription holds what is open, up to a bound; enabled again, it delivers or discards all of it.

`held` is what it holds, exactly, whatever comes and goes meanwhile.
"""

from __future__ import annotations

import asyncio

import pytest

from kirimhook.contract.resources import SubscriptionStatus
from kirimhook.sender.model import Held, Rank
from kirimhook.sender.service import Changes
from tests.sender.databases import Databases
from tests.sender.stage import FAIL, REJECT, SUCCEED, Stage, staged

DISABLE = Changes(status=SubscriptionStatus.DISABLED)
ENABLE = Changes(status=SubscriptionStatus.ACTIVE)
DISCARD = Changes(status=SubscriptionStatus.ACTIVE, held=Held.DISCARD)


async def held(stage: Stage) -> int:
    return int(await stage.one("SELECT held FROM subscriptions"))


def test_what_is_open_is_held_and_what_is_published_joins(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            subscription = await stage.subscribe()
            await stage.publish(4)
            await stage.settled(SUCCEED, (await stage.ids())[0])
            await stage.settled(FAIL, (await stage.ids())[1])
            disabled = await stage.tenant.update_subscription(subscription, DISABLE)
            assert (disabled.status, disabled.disabled_reason) == ("disabled", "manual")
            assert await held(stage) == 3
            await stage.publish(2)
            await stage.tenant.test(subscription)
            assert await held(stage) == 6
            await stage.settled(REJECT, *await stage.ids("failed"))  # an attempt that was under way
            assert await held(stage) == 5
            account = await stage.account(subscription)
            assert [account[key] for key in ("originals", "succeeded", "dead", "open", "held", "tests")] == [
                *(6, 1, 1, 4, 4, 1)
            ]
            assert await stage.wrong() == set()

    asyncio.run(main())


def test_past_the_bound_it_is_a_dead_letter(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases, held_bound=3) as stage:
            subscription = await stage.subscribe()
            await stage.publish(2)
            await stage.tenant.update_subscription(subscription, DISABLE)
            await stage.publish(4)
            rows = await stage.rows("SELECT dead_reason, count(*) FROM deliveries GROUP BY dead_reason ORDER BY 2")
            assert sorted(rows, key=str) == sorted([(None, 3), ("held_full", 3)], key=str)
            assert await held(stage) == 3
            assert await stage.wrong() == set()

    asyncio.run(main())


@pytest.mark.parametrize("batch", [2, 3, 1000])
def test_enabled_it_delivers_behind_live_traffic(databases: Databases, batch: int) -> None:
    async def main() -> None:
        async with staged(databases, keep_batch=batch) as stage:
            subscription = await stage.subscribe()
            await stage.publish(7)
            await stage.tenant.update_subscription(subscription, DISABLE)
            await stage.publish(2)
            await stage.run("UPDATE subscriptions SET failures = 19")
            enabled = await stage.tenant.update_subscription(subscription, ENABLE)
            assert (enabled.status, enabled.disabled_reason) == ("active", None)
            assert await stage.rows("SELECT held, failures FROM subscriptions") == [(0, 0)]
            assert await stage.rows("SELECT rank, count(*) FROM queue GROUP BY rank") == [(Rank.BACKGROUND, 9)]
            await stage.publish()
            ranks = await stage.rows("SELECT rank, count(*) FROM queue GROUP BY rank ORDER BY rank")
            assert ranks == [(Rank.LIVE, 1), (Rank.BACKGROUND, 9)]
            assert await stage.wrong() == set()

    asyncio.run(main())


@pytest.mark.parametrize("batch", [2, 3, 1000])
def test_discarded_it_is_dead_and_can_be_replayed(databases: Databases, batch: int) -> None:
    async def main() -> None:
        async with staged(databases, keep_batch=batch) as stage:
            subscription = await stage.subscribe()
            other = await stage.subscribe()
            await stage.publish(7)
            await stage.settled(FAIL, (await stage.ids(subscription=subscription))[0])
            await stage.tenant.update_subscription(subscription, DISABLE)
            stage.clock.advance(5)
            enabled = await stage.tenant.update_subscription(subscription, DISCARD)
            assert enabled.status == "active"
            rows = await stage.rows(
                "SELECT status, dead_reason, finished_at - created_at, next_attempt_at FROM deliveries"
                " WHERE subscription_id = :id",
                id=subscription,
            )
            assert rows == [("dead", "discarded", 5000, None)] * 7
            account = await stage.account(subscription)
            assert (account["dead"], account["open"], account["held"]) == (7, 0, 0)
            assert (await stage.account(other))["open"] == 7
            (first, *_) = await stage.ids("dead")
            assert (await stage.tenant.replay(first)).status == "pending"
            assert await stage.wrong() == set()

    asyncio.run(main())


def test_what_is_so_already_stays(databases: Databases) -> None:
    """Nothing is held by an active subscription, so nothing of it is discarded, or put behind live traffic."""

    async def main() -> None:
        async with staged(databases) as stage:
            subscription = await stage.subscribe()
            await stage.publish(2)
            for change in (ENABLE, DISCARD):
                await stage.tenant.update_subscription(subscription, change)
                assert await stage.rows("SELECT rank, count(*) FROM queue GROUP BY rank") == [(Rank.LIVE, 2)]
            await stage.run("UPDATE subscriptions SET status = 'disabled', disabled_reason = 'gone', held = 2")
            again = await stage.tenant.update_subscription(subscription, DISABLE)
            assert (again.disabled_reason, await held(stage)) == ("gone", 2)
            assert len(await stage.ids("pending")) == 2

    asyncio.run(main())


def test_it_is_exact_while_all_happens_at_one_time(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases, keep_batch=10, held_bound=60) as stage:
            subscription = await stage.subscribe()

            async def publishing() -> None:
                for _ in range(12):
                    await stage.publish(7)

            async def switching(change: Changes) -> None:
                for _ in range(5):
                    await stage.tenant.update_subscription(subscription, change)

            await asyncio.gather(publishing(), publishing(), switching(DISABLE), switching(ENABLE), switching(DISCARD))
            assert len(await stage.ids()) == 2 * 12 * 7
            assert await stage.wrong() == set()

    asyncio.run(main())
