"""Of a customer who is erased no event, delivery or attempt says anything any more; of all others everything stays.

The account balances, what is published again is a duplicate, a replay is refused, and what is still to be delivered
is left alone until it has ended.
"""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import pytest

from kirimhook.contract import customers, samples
from kirimhook.contract.errors import ApiError
from kirimhook.contract.events import META
from kirimhook.sender.model import NewEvent
from kirimhook.sender.service import BulkReplayRequest, DeliveryFilter, Erasure, erasing, letters
from kirimhook.sender.store.erasing import Erased
from tests.sender.databases import Databases
from tests.sender.stage import REJECT, SUCCEED, Stage, staged

ONE, OTHER = customers.number("+6281234567890"), customers.number("+6281234567891")
EVERY = (
    "message.received",
    "message.status",
    "conversation.assigned",
    "conversation.closed",
    "contact.created",
    "contact.updated",
)
WITH_A_NUMBER = [name for name in samples.names() if not name.startswith("conversation.")]


def events_of(customer: str, *names: str) -> list[NewEvent]:
    """A documented event of each of these names, of this customer."""
    made = []
    for number, name in enumerate(names):
        one = samples.load(name)
        around = base64.b64encode(f"\x18\x0d{customer}\x15{number}".encode()).decode()
        event_id = f"wamid.{around}" if one.source == META else f"evt_{number}x{customer[-1]}"
        one = one.renewed(customer=customer, event_id=event_id)
        made.append(NewEvent(one.source, one.event_id, one.type, one.body))
    return made


async def publish(stage: Stage, customer: str, *names: str) -> list[NewEvent]:
    made = events_of(customer, *(names or samples.names()))
    await stage.tenant.publish(made)
    return made


async def settle(stage: Stage, outcome: str) -> None:
    """As if the endpoint had answered with what it was sent."""
    await stage.settle_open(outcome)
    rows = await stage.rows(
        "SELECT a.delivery_id, a.record, e.event_id, e.body FROM attempts a"
        " JOIN deliveries d ON d.id = a.delivery_id JOIN events e ON e.id = d.event WHERE e.erased_at IS NULL"
    )
    for delivery, record, event_id, body in rows:
        said = {
            **json.loads(record),
            "request_headers": {"X-Kirim-Event-Id": event_id},
            "response_headers": {"x-echo": event_id},
            "response_body": bytes(body).decode(),
        }
        await stage.run(
            "UPDATE attempts SET record = :record WHERE delivery_id = :id", record=json.dumps(said), id=delivery
        )


async def bodies(stage: Stage, wanted: list[NewEvent]) -> dict[str, bytes]:
    found = {event_id: bytes(body) for event_id, body in await stage.rows("SELECT event_id, body FROM events")}
    return {one.event_id: found[one.event_id] for one in wanted}


async def everything(stage: Stage) -> str:
    """All that is in the tables, as one text."""
    tables = ("events", "deliveries", "attempts", "queue", "notices", "idempotency")
    rows = [await stage.rows(f"SELECT * FROM {table}") for table in tables]
    return "\n".join(
        bytes(cell).decode("latin-1") if isinstance(cell, bytes | memoryview) else str(cell)
        for table in rows
        for row in table
        for cell in row
    )


def test_nothing_of_the_customer_is_left_and_all_of_the_others_is(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            await stage.subscribe(*EVERY)
            await stage.subscribe(*EVERY)
            mine = await publish(stage, ONE)
            theirs = await publish(stage, OTHER)
            await settle(stage, SUCCEED)
            before = await bodies(stage, theirs)
            assert (await everything(stage)).count(ONE) > len(mine) * 3

            told: list[Erasure] = []
            looked = await stage.sender.erase(ONE, dry_run=True, tell=told.append)
            count = len(WITH_A_NUMBER)
            assert looked == told[-1] == Erasure(len(mine) + len(theirs), count, Erased())
            assert (await everything(stage)).count(ONE) > len(mine) * 3

            done = await stage.sender.erase(ONE, "acme")
            assert done == Erasure(len(mine) + len(theirs), count, Erased(count, 2 * count, 2 * count, 0))
            left = await everything(stage)
            assert ONE not in left
            gone = [one.event_id for one in mine if not one.type.startswith("conversation.")]
            assert [one for one in gone if one in left] == []
            assert await bodies(stage, theirs) == before == {one.event_id: one.body for one in theirs}
            assert await stage.wrong() == set()
            assert (await stage.sender.erase(ONE)).erased == Erased()

    asyncio.run(main())


def test_published_again_it_is_a_duplicate_and_it_cannot_be_replayed(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            subscription = await stage.subscribe(*EVERY)
            mine = await publish(stage, ONE, *WITH_A_NUMBER)
            await settle(stage, REJECT)
            kept = await publish(stage, OTHER, "contact.created")
            await settle(stage, REJECT)
            await stage.sender.erase(ONE)
            again = await stage.tenant.publish(mine)
            assert all(receipt.duplicate for receipt in again)
            assert ONE not in (await everything(stage))

            listed = (await stage.tenant.deliveries(DeliveryFilter(), 100)).items
            erased, whole = [one for one in listed if not one.event_id], [one for one in listed if one.event_id]
            assert (len(erased), [one.event_id for one in whole]) == (len(mine), [kept[0].event_id])
            with pytest.raises(ApiError) as refused:
                await stage.tenant.replay(erased[0].id)
            assert (refused.value.code, refused.value.status) == ("event_erased", 409)
            named = [one.id for one in erased]
            stage.clock.advance(1)
            assert (await stage.tenant.bulk_replay(BulkReplayRequest(subscription, ids=named))).enqueued == 0
            assert (await stage.tenant.bulk_replay(BulkReplayRequest(subscription))).enqueued == 1
            found = await stage.tenant.deliveries(DeliveryFilter(event_id=mine[0].event_id))
            assert [one.event_id for one in found.items] == [""]
            attempt = (await stage.tenant.delivery(erased[0].id)).attempts
            assert attempt is not None
            assert [(one.request_headers, one.response_headers, one.response_body) for one in attempt] == [
                ({}, {}, None)
            ]
            assert attempt[0].response_status == 500
            assert await stage.wrong() == set()

    asyncio.run(main())


def test_what_is_still_to_be_delivered_is_left_until_it_has_ended(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            await stage.subscribe("contact.created")
            await stage.subscribe(*EVERY)
            (event,) = await publish(stage, ONE, "contact.created")
            one, other = await stage.ids("pending")
            await stage.settled(SUCCEED, one)
            assert (await stage.sender.erase(ONE)).erased == Erased(open=1)
            assert await stage.rows("SELECT event_id, length(body) FROM events") == [(event.event_id, len(event.body))]
            await stage.settled(REJECT, other)
            await stage.tenant.replay(other)
            assert (await stage.sender.erase(ONE)).erased == Erased(open=1)  # its replay is open
            await stage.settle_open(SUCCEED)
            assert (await stage.sender.erase(ONE)).erased == Erased(1, 3, 3)
            assert await stage.rows("SELECT event_id, length(body) FROM events") == [("", 0)]
            assert await stage.wrong() == set()

    asyncio.run(main())


def test_another_organisation_is_asked_for_alone(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            await publish(stage, ONE, "contact.created")
            other = stage.sender.tenant(await stage.another("other"))
            await other.publish(events_of(ONE, "contact.created"))
            assert (await stage.sender.erase(ONE, "other")).erased.events == 1
            assert await stage.rows("SELECT count(*) FROM events WHERE erased_at IS NULL") == [(1,)]
            with pytest.raises(ApiError, match="organisation"):
                await stage.sender.erase(ONE, "nobody")
            assert (await stage.sender.erase(ONE)).erased.events == 1
            assert await stage.sender.has_erased()

    asyncio.run(main())


@pytest.mark.parametrize(("rows", "most"), [(1, 1 << 20), (500, 1), (500, 3000), (7, 5000)])
def test_it_goes_in_steps_and_skips_none(
    databases: Databases, monkeypatch: pytest.MonkeyPatch, rows: int, most: int
) -> None:
    monkeypatch.setattr(erasing, "ROWS", rows)
    monkeypatch.setattr(erasing, "BYTES", most)
    monkeypatch.setattr(erasing, "AT_ONCE", 2)

    async def main() -> None:
        async with staged(databases) as stage:
            await stage.subscribe(*EVERY)
            await publish(stage, ONE, *WITH_A_NUMBER)
            await publish(stage, OTHER, *WITH_A_NUMBER)
            await settle(stage, SUCCEED)
            done = await stage.sender.erase(ONE)
            count = len(WITH_A_NUMBER)
            assert (done.scanned, done.erased) == (2 * count, Erased(count, count, count))

    asyncio.run(main())


def test_erased_dead_letters_do_not_keep_a_bulk_replay_from_ending(
    databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(letters, "BULK", 3)

    async def main() -> None:
        async with staged(databases) as stage:
            subscription = await stage.subscribe(*EVERY)
            await publish(stage, ONE, *WITH_A_NUMBER)
            await settle(stage, REJECT)
            await stage.sender.erase(ONE)
            stage.clock.advance(1)
            await stage.publish(2)
            await stage.settle_open(REJECT)
            stage.clock.advance(1)
            done = await stage.tenant.bulk_replay(BulkReplayRequest(subscription, unreplayed=True))
            assert (done.enqueued, done.capped) == (2, False)

    asyncio.run(main())


def test_beside_replays_nothing_empty_is_ever_sent(databases: Databases) -> None:
    """Whoever comes first: a replay is refused, or its event is left."""

    async def main() -> None:
        async with staged(databases) as stage:
            subscription = await stage.subscribe(*EVERY)
            await publish(stage, ONE, *WITH_A_NUMBER)
            await settle(stage, REJECT)
            dead = await stage.ids("dead")

            async def one(delivery: str) -> str:
                try:
                    await stage.tenant.replay(delivery)
                except ApiError as error:
                    return error.code
                return "replayed"

            bulk = stage.tenant.bulk_replay(BulkReplayRequest(subscription, ids=dead[::2]))
            calls: list[Any] = [*map(one, dead[1::2]), bulk, *[stage.sender.erase(ONE) for _ in range(3)]]
            outcomes = await asyncio.gather(*calls)
            assert {said for said in outcomes if isinstance(said, str)} <= {"replayed", "event_erased"}
            empty = "SELECT count(*) FROM deliveries d JOIN events e ON e.id = d.event WHERE e.erased_at IS NOT NULL"
            assert await stage.one(f"{empty} AND d.status IN ('pending', 'failed')") == 0
            assert await stage.one(f"{empty} AND d.event_id <> ''") == 0
            assert await stage.wrong() == set()

    asyncio.run(main())
