"""Somebody who looks into a delivery is told where it stands, whom it goes to and what it carries, and only its owner.

However many deliveries there are, a look reads its own rows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import pytest
from sqlalchemy import Connection

from kirimhook.contract import ids
from kirimhook.contract.errors import ApiError
from kirimhook.contract.resources import SubscriptionStatus
from kirimhook.sender.model import Held, NewEvent
from kirimhook.sender.service import BulkReplayRequest, Changes, Tenant
from kirimhook.sender.service.looking import MOST_SIBLINGS
from kirimhook.sender.store import deliveries, looking, queue
from tests.sender.databases import Databases
from tests.sender.explained import rows_read
from tests.sender.stage import FAIL, REJECT, SUCCEED, TYPES, Stage, at, staged

BODY = b'\x00\xff{"n": 1.10, "n": 2}\r\n'
LOOKS: list[Callable[[Tenant, str], Awaitable[object]]] = [Tenant.look, Tenant.event_of, Tenant.siblings]


async def one(stage: Stage) -> tuple[str, str]:
    """A subscription, and its only delivery."""
    subscription = await stage.subscribe()
    await stage.publish()
    (delivery,) = await stage.ids()
    return subscription, delivery


async def lease(stage: Stage, until: float) -> None:
    """As an engine does."""
    now = int(stage.clock() * 1000)
    order = queue.Order("", 10, 0, (10, 10), {}, {}, now, now + int(until * 1000), "token")
    assert (await stage.database.write(partial(queue.lease, order=order))).leased


def test_where_it_stands(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            _, delivery = await one(stage)
            place = (await stage.tenant.look(delivery)).place
            assert place is not None
            assert (place.due_at, place.is_taken, place.is_behind) == (at(0), False, False)
            await lease(stage, 30)
            place = (await stage.tenant.look(delivery)).place
            assert place is not None
            assert (place.due_at, place.is_taken) == (at(30), True)
            await stage.settled(FAIL, delivery)
            failed = await stage.tenant.look(delivery)
            assert failed.place is not None
            assert failed.place.due_at == at(10) == failed.delivery.next_attempt_at
            assert [attempt.number for attempt in failed.delivery.attempts or ()] == [1]
            await stage.settled(SUCCEED, delivery)
            done = await stage.tenant.look(delivery)
            assert (done.place, done.delivery.status, done.is_erased) == (None, "succeeded", False)
            assert done.delivery == await stage.tenant.delivery(delivery)

    asyncio.run(main())


def test_what_was_asked_for_in_bulk_or_held_is_behind(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            subscription, delivery = await one(stage)
            await stage.settled(REJECT, delivery)
            await stage.tenant.bulk_replay(BulkReplayRequest(subscription))
            (replay,) = await stage.ids("pending")
            found = await stage.tenant.look(replay)
            assert found.place is not None
            assert found.place.is_behind
            assert found.delivery.replayed_from == delivery
            assert (await stage.tenant.look(delivery)).delivery.replayed_by == replay

    asyncio.run(main())


def test_whom_it_goes_to(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            subscription, delivery = await one(stage)
            target = (await stage.tenant.look(delivery)).target
            assert target == ("https://example.com/hook", "active", None, False)
            disabled = Changes(url="https://example.com/other", status=SubscriptionStatus.DISABLED)
            await stage.tenant.update_subscription(subscription, disabled)
            held = await stage.tenant.look(delivery)
            assert held.target == ("https://example.com/other", "disabled", "manual", False)
            assert held.delivery.next_attempt_at is None
            await stage.tenant.update_subscription(
                subscription, Changes(status=SubscriptionStatus.ACTIVE, held=Held.DISCARD)
            )
            assert (await stage.tenant.look(delivery)).delivery.dead_reason == "discarded"
            await stage.tenant.delete_subscription(subscription)
            assert (await stage.tenant.look(delivery)).target.is_deleted

    asyncio.run(main())


def test_the_event_is_there_byte_for_byte(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            await stage.subscribe()
            await stage.tenant.publish([NewEvent("kirim", "evt_bytes", TYPES[0], BODY)])
            (delivery,) = await stage.ids()
            for most in range(len(BODY) + 2):
                assert (await stage.tenant.event_of(delivery, most)).body == BODY[:most]
            found = await stage.tenant.event_of(delivery)
            assert found == ("evt_bytes", TYPES[0], "kirim", at(0), len(BODY), BODY, None)

    asyncio.run(main())


def test_an_event_without_a_body_is_not_an_erased_one(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            await stage.subscribe()
            await stage.tenant.publish([NewEvent("kirim", "evt_empty", TYPES[0], b"")])
            (delivery,) = await stage.ids()
            assert (await stage.tenant.event_of(delivery)).body == b""
            await stage.settled(SUCCEED, delivery)
            await stage.run("UPDATE events SET body = :nothing, event_id = '', erased_at = 7", nothing=b"")
            found = await stage.tenant.event_of(delivery)
            assert (found.event_id, found.body) == ("", None)
            assert found.erased_at is not None
            assert (await stage.tenant.look(delivery)).is_erased

    asyncio.run(main())


def test_the_deliveries_of_one_event_and_no_other(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            await stage.subscribe()
            await stage.subscribe()
            await stage.publish()
            mine = await stage.ids()
            stage.clock.advance(1)
            await stage.publish()
            stage.clock.advance(1)
            replay = (await stage.tenant.replay(mine[0])).id
            expected = [replay, *reversed(mine)]
            for delivery in expected:
                found = await stage.tenant.siblings(delivery)
                assert ([each.id for each in found.items], found.is_cut) == (expected, False)
            for _ in range(MOST_SIBLINGS - 2):
                await stage.tenant.replay(mine[0])
            found = await stage.tenant.siblings(mine[0])
            assert (len(found.items), found.is_cut) == (MOST_SIBLINGS, True)
            assert mine[0] not in [each.id for each in found.items]

    asyncio.run(main())


@pytest.mark.parametrize("look", LOOKS)
def test_nobody_else_sees_it(databases: Databases, look: Callable[[Tenant, str], Awaitable[object]]) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            _, delivery = await one(stage)
            other = stage.sender.tenant(await stage.another("other"))
            unknown = ids.make(ids.DELIVERY, 1, bytes(ids.RANDOM_BYTES))
            for tenant, name in [(other, delivery), (stage.tenant, unknown), (stage.tenant, "no\x00")]:
                with pytest.raises(ApiError) as error:
                    await look(tenant, name)
                assert error.value.code == "resource_not_found"

    asyncio.run(main())


def test_a_look_reads_its_own_rows(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            await stage.subscribe()
            await stage.publish(600)
            if stage.database.dialect == "postgresql":
                for table in ("deliveries", "events", "queue"):
                    await stage.run(f"ANALYZE {table}")
            delivery = (await stage.ids())[300]

            def operation(connection: Connection) -> None:
                row = deliveries.one(connection, stage.organisation, delivery)
                assert row is not None
                looking.target(connection, row.subscription_id)
                looking.place(connection, delivery)
                looking.erased_at(connection, row.event)
                looking.content(connection, stage.organisation, delivery, 100)
                looking.siblings(connection, stage.organisation, delivery, 10)

            assert await rows_read(stage.database, operation) < 60

    asyncio.run(main())
