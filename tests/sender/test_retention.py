"""What is past its retention goes, all of it and nothing else, in bounded steps, and the ledger balances after each."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kirimhook.contract.resources import SubscriptionStatus
from kirimhook.sender.model import Rank
from kirimhook.sender.service import Changes, KirimEvent, Once
from tests.sender.databases import Databases
from tests.sender.stage import DAY, FAIL, REJECT, SUCCEED, TYPES, Stage, staged

MONTH = 30 * DAY


async def counts(stage: Stage) -> dict[str, int]:
    tables = ("deliveries", "events", "attempts", "queue", "idempotency")
    return {table: await stage.one(f"SELECT count(*) FROM {table}") for table in tables}


@pytest.mark.parametrize("batch", [1, 4, 1000])
def test_a_delivery_goes_after_a_month(databases: Databases, batch: int) -> None:
    async def main() -> None:
        async with staged(databases, keep_batch=batch) as stage:
            subscription, other = await stage.subscribe(), await stage.subscribe(TYPES[0])
            await stage.publish(3)
            await stage.settled(SUCCEED, *(await stage.ids())[:4])
            await stage.settled(REJECT, *(await stage.ids())[4:])
            stage.clock.advance(DAY)
            await stage.publish(2, TYPES[1])
            await stage.settle_open(SUCCEED)
            stage.clock.advance(MONTH - DAY)
            await stage.keep()
            assert (await counts(stage))["deliveries"] == 8  # exactly a month old is not yet past it
            stage.clock.advance(1)
            while (await stage.sender.keep()).more:
                assert await stage.wrong() == set()
            assert await counts(stage) == {"deliveries": 2, "events": 2, "attempts": 2, "queue": 0, "idempotency": 0}
            accounts = [await stage.account(one) for one in (subscription, other)]
            assert [(one["originals"], one["purged"], one["open"]) for one in accounts] == [(5, 3, 0), (3, 3, 0)]
            assert sum(one["dead"] for one in accounts) == 2
            (total,) = (await stage.sender.ledger()).totals
            assert (total.matched, total.originals) == (8, 8)
            stage.clock.advance(DAY)
            await stage.keep()
            assert set((await counts(stage)).values()) == {0}
            assert await stage.wrong() == set()

    asyncio.run(main())


@pytest.mark.parametrize("disabled", [False, True])
def test_what_is_still_open_expires_first(databases: Databases, disabled: bool) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            subscription = await stage.subscribe()
            await stage.publish(2)
            await stage.settled(FAIL, (await stage.ids())[0])
            if disabled:
                change = Changes(status=SubscriptionStatus.DISABLED)
                await stage.tenant.update_subscription(subscription, change)
            stage.clock.advance(MONTH + 1)
            await stage.publish(1)
            kept = await stage.sender.keep()
            assert (kept.expired, kept.deliveries, kept.more) == (2, 0, True)
            rows = await stage.rows("SELECT status, dead_reason FROM deliveries ORDER BY id")
            assert rows == [("dead", "expired"), ("dead", "expired"), ("pending", None)]
            assert (await counts(stage))["queue"] == 1
            assert await stage.one("SELECT held FROM subscriptions") == int(disabled)
            assert await stage.wrong() == set()
            kept = await stage.sender.keep()
            assert (kept.expired, kept.deliveries) == (0, 2)
            account = await stage.account(subscription)
            assert (account["originals"], account["dead"], account["open"], account["purged"]) == (3, 2, 1, 2)
            assert await stage.wrong() == set()

    asyncio.run(main())


def test_an_event_goes_after_its_last_delivery(databases: Databases) -> None:
    """A replay is younger than what it replays, and needs the event for as long as it lives itself."""

    async def main() -> None:
        async with staged(databases, keep_batch=2) as stage:
            await stage.subscribe()
            await stage.publish(5)
            await stage.settle_open(REJECT)
            stage.clock.advance(20 * DAY)
            fresh = (await stage.tenant.replay((await stage.ids())[2])).id
            stage.clock.advance(11 * DAY)
            await stage.keep()
            assert await stage.ids() == [fresh]
            assert (await counts(stage))["events"] == 1
            assert await stage.one("SELECT purged_matches FROM organisations") == 4
            assert await stage.wrong() == set()
            await stage.settled(SUCCEED, fresh)
            stage.clock.advance(20 * DAY)
            await stage.keep()
            await stage.keep()  # the walk over events had passed it
            assert await counts(stage) == {"deliveries": 0, "events": 0, "attempts": 0, "queue": 0, "idempotency": 0}
            assert await stage.one("SELECT purged_matches FROM organisations") == 5
            assert await stage.wrong() == set()

    asyncio.run(main())


def test_an_event_that_matched_nothing_goes_too(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases, keep_batch=2) as stage:
            await stage.publish(5)
            stage.clock.advance(MONTH)
            await stage.publish(1)
            await stage.keep()
            assert (await counts(stage))["events"] == 6
            stage.clock.advance(1)
            await stage.keep()
            assert (await counts(stage))["events"] == 1
            assert await stage.wrong() == set()

    asyncio.run(main())


def test_a_published_event_is_new_again_when_it_was_forgotten(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            await stage.subscribe()
            event = KirimEvent(TYPES[0], {}, "evt_same")
            assert not (await stage.tenant.publish([event]))[0].duplicate
            await stage.settle_open(SUCCEED)
            assert (await stage.tenant.publish([event]))[0].duplicate
            stage.clock.advance(MONTH + 1)
            await stage.keep()
            assert not (await stage.tenant.publish([event]))[0].duplicate
            assert await stage.wrong() == set()

    asyncio.run(main())


def test_an_idempotency_key_is_kept_a_day(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases, keep_batch=2) as stage:
            for number in range(5):
                once = Once(f"key {number}", b"print", 201, _nothing)
                await stage.sender.tenant(stage.organisation, once).create_subscription("https://a.example", TYPES)
            stage.clock.advance(DAY - 1)
            await stage.keep()
            assert (await counts(stage))["idempotency"] == 5
            stage.clock.advance(2)
            await stage.keep()
            assert (await counts(stage))["idempotency"] == 0

    asyncio.run(main())


def test_a_round_is_bounded(databases: Databases) -> None:
    """No step touches more than a batch, so none holds the others up for long."""

    async def main() -> None:
        async with staged(databases, keep_batch=3) as stage:
            subscription = await stage.subscribe()
            await stage.publish(10)
            await stage.settled(REJECT, *(await stage.ids())[:5])
            await stage.subscribe()
            await stage.tenant.delete_subscription(subscription)
            stage.clock.advance(MONTH + 1)
            rounds = [await stage.sender.keep() for _ in range(5)]
            for kept in rounds:
                assert max(kept.closed, kept.deliveries, kept.events, kept.answers) <= 3
            assert sum(kept.deliveries for kept in rounds) == 10
            assert (await stage.account(subscription))["purged"] == 10

    asyncio.run(main())


def test_several_keep_at_one_time(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases, keep_batch=7) as stage:
            subscription = await stage.subscribe()
            await stage.publish(60)
            await stage.settle_open(SUCCEED)
            stage.clock.advance(MONTH + 1)
            others = [Stage(stage.database, keep_batch=7) for _ in range(3)]
            for other in others:
                other.clock.advance(MONTH + 1)
            while (await counts(stage))["events"]:
                await asyncio.gather(*[one.sender.keep() for one in (stage, *others)])
            account = await stage.account(subscription)
            assert (account["originals"], account["succeeded"], account["purged"]) == (60, 60, 60)
            assert await stage.wrong() == set()

    asyncio.run(main())


def test_a_replay_saves_its_event_from_the_purge(databases: Databases) -> None:
    """Whichever comes first: the replay has its event, or there is nothing left to replay."""

    async def main() -> None:
        async with staged(databases) as stage:
            await stage.subscribe()
            await stage.publish(20)
            await stage.settle_open(REJECT)
            stage.clock.advance(MONTH + 1)
            originals = await stage.ids()
            calls: list[Any] = [stage.tenant.replay(one) for one in originals]
            await asyncio.gather(*calls, stage.sender.keep(), return_exceptions=True)
            await stage.keep()
            fresh = await stage.ids()
            assert (await counts(stage))["events"] == len(fresh)
            assert await stage.rows("SELECT rank, count(*) FROM queue GROUP BY rank") in ([], [(Rank.LIVE, len(fresh))])
            assert await stage.wrong() == set()

    asyncio.run(main())


def _nothing(_resource: object) -> bytes:
    return b"{}"
