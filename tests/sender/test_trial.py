"""A test delivery: one sample to one subscription, `livemode` false, apart from the account of originals."""

from __future__ import annotations

import asyncio
import json

import pytest

from kirimhook.contract import events as wire
from kirimhook.contract.errors import ApiError
from kirimhook.contract.resources import DeliveryKind, DeliveryStatus, SubscriptionStatus
from kirimhook.sender.service import Changes
from kirimhook.settings import SenderSettings
from tests.sender.databases import Databases
from tests.sender.stage import at, staged

CATALOGUE = (*SenderSettings().catalogue, "order.created")


def test_every_type_has_a_sample(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases, catalogue=CATALOGUE) as stage:
            one, _other = await stage.subscribe("contact.created"), await stage.subscribe("contact.created")
            for event_type in CATALOGUE:
                made = await stage.tenant.test(one, event_type)
                assert (made.kind, made.status, made.event_type) == (
                    DeliveryKind.TEST,
                    DeliveryStatus.PENDING,
                    event_type,
                )
                assert (made.subscription_id, made.event_type, made.next_attempt_at) == (one, event_type, at(0))
                body = bytes(await stage.one("SELECT body FROM events WHERE event_id = :id", id=made.event_id))
                told = json.loads(body)
                assert (told["id"], told["type"], told["livemode"]) == (made.event_id, event_type, False)
                reading = wire.read(body)
                assert (reading.source, reading.livemode) == (made.source, False) == ("kirim", False)
                assert bool(told["data"]) == (event_type != "order.created")
                assert (
                    await stage.one("SELECT count(*) FROM queue WHERE delivery_id = :id AND rank = 0", id=made.id) == 1
                )
            assert (await stage.tenant.test(one)).event_type == "contact.created"
            assert await stage.one("SELECT count(*) FROM deliveries") == len(CATALOGUE) + 1
            assert await stage.one("SELECT sum(matches) FROM events") == 0
            assert await stage.wrong() == set()

    asyncio.run(main())


def test_two_tests_are_two_events(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            one = await stage.subscribe("contact.created")
            first, second = await stage.tenant.test(one), await stage.tenant.test(one)
            assert first.event_id != second.event_id

    asyncio.run(main())


def test_a_disabled_subscription_holds_it(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases, held_bound=1) as stage:
            one = await stage.subscribe("contact.created")
            await stage.tenant.update_subscription(one, Changes(status=SubscriptionStatus.DISABLED))
            held, full = await stage.tenant.test(one), await stage.tenant.test(one)
            assert (held.status, held.next_attempt_at) == (DeliveryStatus.PENDING, None)
            assert (full.status, full.dead_reason) == (DeliveryStatus.DEAD, "held_full")
            assert await stage.wrong() == set()

    asyncio.run(main())


def test_a_type_that_is_not_there_is_refused(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            one = await stage.subscribe("contact.created")
            with pytest.raises(ApiError) as caught:
                await stage.tenant.test(one, "order.created")
            assert (caught.value.code, caught.value.param) == ("unknown_event_type", "event")

    asyncio.run(main())
