"""Publish: the event and one delivery for every subscription that wants it, in one transaction, each event once.

What is stored is read with statements of the test's own, and the ledger finds nothing wrong.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from kirimhook.contract import samples
from kirimhook.contract.errors import ApiError
from kirimhook.contract.resources import EventReceipt, SubscriptionStatus
from kirimhook.sender.model import NewEvent
from kirimhook.sender.service import Changes, KirimEvent, Publishable
from tests.sender.databases import Databases
from tests.sender.stage import START, Stage, staged

CREATED, UPDATED = "contact.created", "contact.updated"
MADE = (
    "SELECT d.subscription_id, d.event_id, d.status, d.dead_reason, q.rank FROM deliveries d"
    " LEFT JOIN queue q ON q.delivery_id = d.id ORDER BY d.event_id, d.id"
)
LIVE, BACKGROUND = 0, 1


def event(number: int, event_type: str = CREATED) -> KirimEvent:
    return KirimEvent(event_type, {"n": number}, f"evt_{number}")


def status(state: str, wamid: str = "wamid.1") -> NewEvent:
    body = json.dumps({"statuses": [{"id": wamid, "status": state}]}).encode()
    return NewEvent("meta", wamid, "message.status", body)


async def refused(stage: Stage, *events: Publishable) -> ApiError:
    """The error, and nothing was stored."""
    with pytest.raises(ApiError) as caught:
        await stage.tenant.publish(events)
    assert await stage.one("SELECT count(*) FROM events") == 0
    return caught.value


def test_each_subscription_that_wants_it_gets_one_delivery(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            both = await stage.subscribe(CREATED, UPDATED)
            created = await stage.subscribe(CREATED)
            deleted = await stage.subscribe(CREATED)
            await stage.tenant.delete_subscription(deleted)
            stage.organisation, acme = await stage.another("other"), stage.organisation
            await stage.subscribe(CREATED)
            stage.organisation = acme

            receipts = await stage.tenant.publish([event(1), event(2, UPDATED), event(3, "conversation.closed")])

            assert receipts == [
                EventReceipt("evt_1", 2, False),
                EventReceipt("evt_2", 1, False),
                EventReceipt("evt_3", 0, False),
            ]
            pending = ("pending", None, LIVE)
            expected = [(both, "evt_1", *pending), (created, "evt_1", *pending), (both, "evt_2", *pending)]
            assert sorted(await stage.rows(MADE)) == sorted(expected)
            assert await stage.wrong() == set()

    asyncio.run(main())


def test_a_delivery_is_due_at_once_with_all_its_attempts_to_come(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases, schedule=(0.0, 1.0, 2.0)) as stage:
            await stage.subscribe()
            await stage.publish()
            now = int(START * 1000)
            due = "SELECT due_at, token, attempts FROM queue"
            assert await stage.rows(due) == [(now, None, 0)]
            shown = "SELECT next_attempt_at, max_attempts, attempt_count, created_at, finished_at, kind FROM deliveries"
            assert await stage.rows(shown) == [(now, 3, 0, now, None, "original")]

    asyncio.run(main())


def test_a_body_travels_byte_for_byte(databases: Databases) -> None:
    bodies = [b'{ "entry":\n[] }', b"\xff\x00not JSON", b"", samples.load("message.received").body]

    async def main() -> None:
        async with staged(databases) as stage:
            events = [NewEvent("meta", f"wamid.{n}", "message.received", body) for n, body in enumerate(bodies)]
            await stage.tenant.publish(events)
            rows = await stage.rows("SELECT body, size, source FROM events ORDER BY event_id")
            assert [(bytes(body), size, source) for body, size, source in rows] == [
                (body, len(body), "meta") for body in bodies
            ]

    asyncio.run(main())


def test_data_becomes_the_documented_envelope(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            named = KirimEvent(CREATED, {"name": "Büdi"}, "mine-1")
            first, second = await stage.tenant.publish([named, KirimEvent(CREATED, {"n": 2})])
            assert first.id == "mine-1"
            assert second.id.startswith("evt_")
            assert len(second.id) == 30
            bodies = [bytes(row[0]) for row in await stage.rows("SELECT body FROM events ORDER BY id")]
            moment = "2026-05-23T10:00:00Z"  # what START is
            told = {"type": CREATED, "created_at": moment, "livemode": True}
            assert [json.loads(body) for body in bodies] == [
                {"id": "mine-1", **told, "data": {"name": "Büdi"}},
                {"id": second.id, **told, "data": {"n": 2}},
            ]

    asyncio.run(main())


def test_an_event_is_stored_once(databases: Databases) -> None:
    """By source and id; a status by its body as well. A duplicate says what the first made, whatever came since."""

    async def main() -> None:
        async with staged(databases) as stage:
            await stage.subscribe(CREATED, "message.status")
            assert await stage.tenant.publish([event(1), event(1)]) == [
                EventReceipt("evt_1", 1, False),
                EventReceipt("evt_1", 1, True),
            ]
            await stage.subscribe(CREATED)
            other_type = KirimEvent(UPDATED, {}, "evt_1")
            assert await stage.tenant.publish([event(1), event(2), other_type]) == [
                EventReceipt("evt_1", 1, True),
                EventReceipt("evt_2", 2, False),
                EventReceipt("evt_1", 1, True),
            ]
            meta = NewEvent("meta", "evt_1", CREATED, b"{}")
            assert [receipt.duplicate for receipt in await stage.tenant.publish([meta])] == [False]
            states = [status("sent"), status("delivered"), status("read"), status("sent")]
            assert [receipt.duplicate for receipt in await stage.tenant.publish(states)] == [False, False, False, True]
            stage.organisation = await stage.another("other")
            assert [receipt.duplicate for receipt in await stage.tenant.publish([event(1)])] == [False]
            assert await stage.wrong() == set()

    asyncio.run(main())


def test_a_disabled_subscription_holds_up_to_its_bound(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases, held_bound=3) as stage:
            disabled, active = await stage.subscribe(CREATED), await stage.subscribe(CREATED)
            await stage.tenant.publish([event(0)])
            await stage.tenant.update_subscription(disabled, Changes(status=SubscriptionStatus.DISABLED))

            receipts = await stage.tenant.publish([event(n) for n in range(1, 5)])

            assert [receipt.deliveries for receipt in receipts] == [2, 2, 2, 2]
            rows = [row for row in await stage.rows(MADE) if row[0] == disabled]
            full = ("dead", "held_full", None)
            assert [row[2:] for row in rows] == [
                ("pending", None, LIVE),
                ("pending", None, BACKGROUND),
                ("pending", None, BACKGROUND),
                full,
                full,
            ]
            assert [row[2:] for row in await stage.rows(MADE) if row[0] == active] == [("pending", None, LIVE)] * 5
            finished = "SELECT finished_at FROM deliveries WHERE status = 'dead' AND next_attempt_at IS NULL"
            assert await stage.rows(finished) == [(int(START * 1000),)] * 2
            assert await stage.one("SELECT held FROM subscriptions WHERE id = :id", id=disabled) == 3
            assert await stage.wrong() == set()

    asyncio.run(main())


def test_what_cannot_be_is_refused_whole(databases: Databases) -> None:
    good = event(0)
    deep: dict[str, Any] = {}
    for _ in range(100_000):
        deep = {"d": deep}
    cases: list[tuple[Publishable, str, str]] = [
        (KirimEvent("order.created", {}), "unknown_event_type", "type"),
        (NewEvent("meta", "wamid.1", "nonsense", b"{}"), "unknown_event_type", "type"),
        (NewEvent("facebook", "wamid.1", CREATED, b"{}"), "invalid_field_value", "source"),
        (KirimEvent(CREATED, {}, ""), "invalid_field_value", "id"),
        (KirimEvent(CREATED, {}, "é"), "invalid_field_value", "id"),
        (KirimEvent(CREATED, {}, "a\0b"), "invalid_field_value", "id"),
        (KirimEvent(CREATED, {}, " a"), "invalid_field_value", "id"),
        (KirimEvent(CREATED, {}, "a" * 513), "invalid_field_value", "id"),
        (NewEvent("meta", "a\r\nX: y", CREATED, b"{}"), "invalid_field_value", "id"),
        (KirimEvent(CREATED, {"n": float("nan")}), "invalid_field_value", "data"),
        (KirimEvent(CREATED, {"n": "\ud800"}), "invalid_field_value", "data"),
        (KirimEvent(CREATED, {"n": object()}), "invalid_field_value", "data"),
        (KirimEvent(CREATED, deep), "invalid_field_value", "data"),
        (NewEvent("meta", "wamid.1", CREATED, b"x" * 2001), "payload_too_large", "data"),
    ]

    async def main() -> None:
        async with staged(databases, max_event=2000) as stage:
            await stage.subscribe(CREATED)
            for bad, code, param in cases:
                alone = await refused(stage, bad)
                assert (alone.code, alone.param) == (code, param)
                among = await refused(stage, good, bad)
                assert (among.code, among.param) == (code, f"events.1.{param}")
            for events in ([], [event(n) for n in range(101)]):
                assert (await refused(stage, *events)).code == "invalid_field_value"
            with pytest.raises(ApiError) as caught:
                await stage.sender.publish("org_of_nobody", [good])
            assert caught.value.code == "resource_not_found"
            assert await stage.one("SELECT count(*) FROM events") == 0

    asyncio.run(main())


def test_the_longest_batch_goes_to_many(databases: Databases) -> None:
    """More deliveries than one statement takes."""

    async def main() -> None:
        async with staged(databases) as stage:
            for _ in range(101):
                await stage.subscribe(CREATED)
            receipts = await stage.tenant.publish([event(n) for n in range(100)])
            assert {receipt.deliveries for receipt in receipts} == {101}
            assert await stage.one("SELECT count(DISTINCT id) FROM deliveries") == 10_100
            assert await stage.one("SELECT count(*) FROM queue q JOIN deliveries d ON d.id = q.delivery_id") == 10_100
            assert await stage.wrong() == set()

    asyncio.run(main())


def test_the_engine_is_woken_after_the_commit(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            await stage.subscribe(CREATED)
            woken = []
            sender = type(stage.sender)(
                stage.database, stage.settings, stage.sender.context.sealer, published=lambda: woken.append(1)
            )
            await sender.publish(stage.organisation, [event(1)])
            assert woken == [1]
            with pytest.raises(ApiError):
                await sender.publish(stage.organisation, [])
            assert woken == [1]

    asyncio.run(main())
