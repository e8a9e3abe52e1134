"""Every way in which a delivery becomes a dead letter is told of, in the transaction that made it one: as many as there
are, by subscription and reason, in few notices. Nothing is written where nobody is told, or where nothing happened.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial
from typing import Any

import pytest

from kirimhook.contract.resources import DeliveryStatus, SubscriptionStatus
from kirimhook.sender.model import DeadReason, Held
from kirimhook.sender.sealing import Sealer
from kirimhook.sender.service import BulkReplayRequest, Changes, Sender
from kirimhook.sender.store import notices, queue, settling
from kirimhook.telling import Kind
from tests.sender.databases import Databases
from tests.sender.stage import DAY, FAIL, KEY, START, Stage, staged

DISABLE = Changes(status=SubscriptionStatus.DISABLED)
DISCARD = Changes(status=SubscriptionStatus.ACTIVE, held=Held.DISCARD)
BATCH = 4
"""Deliveries of one step: a great many take several."""


def telling(stage: Stage) -> None:
    """Its sender writes down what to tell."""
    stage.sender = Sender(stage.database, stage.settings, Sealer([KEY]), clock=stage.clock, notify=True)


async def told(stage: Stage) -> Counter[tuple[str, str]]:
    """How many dead letters wait to be told, by subscription and reason."""
    gathered = await stage.database.write(partial(notices.gather, most=10_000))
    counts: Counter[tuple[str, str]] = Counter()
    for notice in gathered.notices.values():
        assert notice.kind is Kind.DEAD_LETTERS
        assert 0 < len(notice.examples) <= min(notice.count, 5)
        counts[notice.subscription_id or "", notice.reason] += notice.count
    return counts


async def died(stage: Stage) -> Counter[tuple[str, str]]:
    """The same, as the deliveries say."""
    query = "SELECT subscription_id, dead_reason, count(*) FROM deliveries WHERE status = 'dead' GROUP BY 1, 2"
    return Counter({(who, reason): count for who, reason, count in await stage.rows(query)})


async def rows(stage: Stage) -> int:
    return int(await stage.one("SELECT count(*) FROM notices"))


async def discarded(stage: Stage, subscription: str) -> None:
    await stage.publish(10)
    await stage.tenant.update_subscription(subscription, DISABLE)
    await stage.tenant.update_subscription(subscription, DISCARD)


async def deleted(stage: Stage, subscription: str) -> None:
    await stage.publish(10)
    await stage.tenant.delete_subscription(subscription)
    await stage.keep()


async def held_full(stage: Stage, subscription: str) -> None:
    await stage.tenant.update_subscription(subscription, DISABLE)
    await stage.publish(5)
    await stage.publish(5)


async def trial(stage: Stage, subscription: str) -> None:
    await stage.tenant.update_subscription(subscription, DISABLE)
    await stage.publish(3)
    await stage.tenant.test(subscription)


WAYS = {
    discarded: {DeadReason.DISCARDED: 10},
    deleted: {DeadReason.SUBSCRIPTION_DELETED: 10},
    held_full: {DeadReason.HELD_FULL: 7},
    trial: {DeadReason.HELD_FULL: 1},
}


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_every_way_is_told(databases: Databases, way: Any) -> None:
    async def main() -> None:
        async with staged(databases, keep_batch=BATCH, held_bound=3) as stage:
            telling(stage)
            subscription = await stage.subscribe()
            await way(stage, subscription)
            assert await rows(stage) <= 4, "few notices of many deliveries"
            counts = await told(stage)
            assert counts == await died(stage)
            assert counts == {(subscription, reason): count for reason, count in WAYS[way].items()}
            assert await stage.wrong() == set()

    asyncio.run(main())


def test_what_expires_is_told_before_it_is_purged(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases, keep_batch=BATCH) as stage:
            telling(stage)
            subscription = await stage.subscribe()
            await stage.publish(10)
            await stage.settled(FAIL, *(await stage.ids())[:5])
            stage.clock.advance(31 * DAY)
            assert (await stage.sender.keep()).expired == BATCH
            assert await told(stage) == await died(stage) == {(subscription, "expired"): BATCH}
            await stage.keep()
            assert await stage.ids() == []
            assert await told(stage) == {(subscription, "expired"): 10}

    asyncio.run(main())


def test_a_bulk_replay_to_a_full_subscription_is_told(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases, held_bound=3) as stage:
            telling(stage)
            subscription = await stage.subscribe()
            await stage.dead(10)  # by the stage, which tells nobody
            before = await died(stage)
            await stage.tenant.update_subscription(subscription, DISABLE)
            await stage.tenant.bulk_replay(BulkReplayRequest(subscription, DeliveryStatus.DEAD))
            assert await rows(stage) == 1
            assert await told(stage) == await died(stage) - before == {(subscription, "held_full"): 7}

    asyncio.run(main())


def test_several_subscriptions_in_one_transaction(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases, held_bound=1) as stage:
            telling(stage)
            subscriptions = [await stage.subscribe() for _ in range(3)]
            for one in subscriptions[:2]:
                await stage.tenant.update_subscription(one, DISABLE)
            await stage.publish(100)
            assert await rows(stage) == 2
            assert await told(stage) == {(one, "held_full"): 99 for one in subscriptions[:2]}

    asyncio.run(main())


def test_a_batch_of_attempts_is_one_notice_by_subscription_and_reason(databases: Databases) -> None:
    """And says what the last of them was answered. Attempts that another follows, or that succeed, are not told."""

    async def main() -> None:
        async with staged(databases) as stage:
            subscriptions = sorted([await stage.subscribe() for _ in range(2)])
            await stage.publish(30)
            leased = (await stage.database.write(partial(queue.lease, order=_order()))).leased
            reasons: list[str | None] = ["rejected", "attempts_exhausted", None]
            ended = [_ended(one, reasons[number % 3], number) for number, one in enumerate(leased)]
            batch = settling.Batch(ended, [])
            await stage.database.write(partial(settling.settle, batch=batch, rules=settling.Rules(1000, notify=True)))
            counts = await told(stage)
            assert await rows(stage) == 4
            assert counts == await died(stage) == {(one, reason): 10 for one in subscriptions for reason in reasons[:2]}
            details = {notice.detail for notice in (await stage.database.write(_gather)).notices.values()}
            assert len(details) == 4
            assert f"answered {len(leased) - 2}" in details

    asyncio.run(main())


def _gather(connection: Any) -> notices.Gathered:
    return notices.gather(connection, 100)


def _order() -> queue.Order:
    now = int(START * 1000)
    return queue.Order("", 100, 0, (100, 100), {}, {}, now, now + 30_000, "t1")


def _ended(one: queue.Leased, reason: str | None, number: int) -> settling.Ended:
    status = DeliveryStatus.SUCCEEDED if reason is None else DeliveryStatus.DEAD
    return settling.Ended(
        one.delivery_id, "t1", one.subscription_id, one.organisation_id, True, 1, status, reason, None, 1, 2,
        number, f"answered {number}", "{}",
    )  # fmt: skip


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_where_nobody_is_told_nothing_is_written(databases: Databases, way: Any) -> None:
    async def main() -> None:
        async with staged(databases, keep_batch=BATCH, held_bound=3) as stage:
            await way(stage, await stage.subscribe())
            assert sum((await died(stage)).values()) == sum(WAYS[way].values())
            assert await rows(stage) == 0

    asyncio.run(main())


def test_what_is_rolled_back_is_not_told(databases: Databases) -> None:
    """A publish that fails after it made dead letters leaves neither them nor a word of them."""

    async def main() -> None:
        async with staged(databases, held_bound=0) as stage:
            telling(stage)
            subscription = await stage.subscribe()
            await stage.tenant.update_subscription(subscription, DISABLE)

            def fails(connection: Any) -> None:
                notices.add_dead(connection, [notices.Died("wbd_1", subscription, "held_full")], 1)
                raise LookupError

            with pytest.raises(LookupError):
                await stage.database.write(fails)
            assert (await rows(stage), await stage.ids()) == (0, [])
            await stage.publish(1)
            assert (await rows(stage), len(await stage.ids())) == (1, 1)

    asyncio.run(main())
