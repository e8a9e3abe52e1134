"""A list shows exactly the deliveries that its filters mean, newest first, each once over all its pages.

And no page is slow: what one page reads is bounded, whatever the filters and however many deliveries there are.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, insert

from kirimhook.contract.errors import ApiError
from kirimhook.contract.events import dedupe_key
from kirimhook.contract.resources import Delivery, DeliveryKind, DeliveryStatus, SubscriptionStatus
from kirimhook.sender.model import NewEvent
from kirimhook.sender.schema import deliveries, events
from kirimhook.sender.service import Changes, DeliveryFilter
from kirimhook.sender.store import deliveries as store
from tests.sender.databases import Databases
from tests.sender.explained import rows_read
from tests.sender.stage import FAIL, REJECT, SUCCEED, TYPES, Stage, at, staged

WALK = 7
ALL = DeliveryFilter()


async def listed(stage: Stage, where: DeliveryFilter = ALL, limit: int = 25) -> list[Delivery]:
    """Over all pages."""
    found: list[Delivery] = []
    cursor = None
    for _ in range(1000):
        page = await stage.tenant.deliveries(where, limit, cursor)
        assert len(page.items) <= limit
        found += page.items
        cursor = page.next_cursor
        if cursor is None:
            return found
    raise AssertionError("it does not end")


async def mixture(stage: Stage) -> list[str]:
    """Deliveries of every status, kind and type, at different times; two subscriptions."""
    subscriptions = [await stage.subscribe(), await stage.subscribe(TYPES[0])]
    chance = random.Random(7)
    for _ in range(30):
        stage.clock.advance(1)
        await stage.publish(1, chance.choice(TYPES))
        for delivery in [*await stage.ids("pending"), *await stage.ids("failed")]:
            if chance.random() < 0.5:
                await stage.settled(chance.choice([SUCCEED, FAIL, REJECT]), delivery)
        if chance.random() < 0.5:
            await stage.tenant.replay(chance.choice(await stage.ids()))
    for outcome in (FAIL, REJECT, SUCCEED, None):
        stage.clock.advance(1)
        (event,) = await stage.publish(1)
        (original, _) = [one.id for one in await listed(stage, DeliveryFilter(event_id=event))]
        replayed = (await stage.tenant.replay(original)).id
        if outcome:
            await stage.settled(outcome, original, replayed)
        await stage.tenant.test(subscriptions[0], TYPES[1])
    return subscriptions


def meant(one: Delivery, where: DeliveryFilter) -> bool:
    """The oracle."""
    return all(
        [
            where.subscription_id in {None, one.subscription_id},
            where.status in {None, one.status},
            where.event_type in {None, one.event_type},
            where.event_id in {None, one.event_id},
            where.kind in {None, one.kind},
            one.replayed_by is None or not where.unreplayed,
            where.created_after is None or one.created_at > where.created_after,
            where.created_before is None or one.created_at < where.created_before,
        ]
    )


def some_filter(chance: random.Random, subscriptions: list[str]) -> DeliveryFilter:
    def maybe(*values: Any) -> Any:
        return chance.choice(values) if chance.random() < 0.4 else None

    return DeliveryFilter(
        maybe(*subscriptions),
        maybe(*DeliveryStatus),
        maybe(*TYPES, "order.created"),
        maybe("evt_0", "evt_5", "evt_9", "evt_none"),
        maybe(*DeliveryKind),
        bool(maybe(True)),
        maybe(at(0), at(8), at(9.0005), at(40)),
        maybe(at(1), at(20), at(20.0005), at(40)),
    )


def test_what_is_listed_is_what_the_filters_mean(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "WALK", WALK)

    async def main() -> None:
        async with staged(databases) as stage:
            subscriptions = await mixture(stage)
            everything = await listed(stage)
            assert [one.id for one in everything] == list(reversed(await stage.ids()))
            assert {(one.status, one.kind) for one in everything} >= set(
                itertools.product(DeliveryStatus, ["original", "replay"])
            )
            chance = random.Random(11)
            hits = 0
            for _ in range(120):
                where = some_filter(chance, subscriptions)
                expected = [one for one in everything if meant(one, where)]
                assert await listed(stage, where, chance.choice([1, 2, 25, 100])) == expected, where
                hits += bool(expected)
            assert hits > 30

    asyncio.run(main())


def test_all_of_one_message(databases: Databases) -> None:
    """The three statuses of a message share its id, and are three events."""

    async def main() -> None:
        async with staged(databases, catalogue=("message.status",)) as stage:
            await stage.subscribe("message.status")
            bodies = [b'{"entry":[]}', b'{"entry":[ ]}', b'{"entry":[  ]}']
            events = [NewEvent("meta", "wamid.1", "message.status", body) for body in bodies]
            other = NewEvent("meta", "wamid.2", "message.status", bodies[0])
            await stage.tenant.publish([*events, other])
            found = await listed(stage, DeliveryFilter(event_id="wamid.1"), 2)
            assert [one.event_id for one in found] == ["wamid.1"] * 3
            assert len({one.id for one in found}) == 3

    asyncio.run(main())


def test_pages_go_on_while_more_arrive(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            await stage.subscribe()
            await stage.publish(10)
            first = await stage.tenant.deliveries(ALL, 4)
            seen = [one.id for one in first.items]
            there = list(reversed(await stage.ids()))
            stage.clock.advance(1)
            await stage.publish(10)
            cursor = first.next_cursor
            while cursor is not None:
                page = await stage.tenant.deliveries(ALL, 4, cursor)
                seen += [one.id for one in page.items]
                cursor = page.next_cursor
            assert seen == there

    asyncio.run(main())


def test_a_cursor_is_for_its_list_alone(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            subscription = await stage.subscribe()
            await stage.publish(3)
            cursor = (await stage.tenant.deliveries(ALL, 1)).next_cursor
            others = [
                (stage.tenant, DeliveryFilter(subscription)),
                (stage.tenant, DeliveryFilter(unreplayed=True)),
                (stage.tenant, DeliveryFilter(created_before=at(5))),
                (stage.sender.tenant(await stage.another("other")), ALL),
            ]
            for tenant, where in others:
                with pytest.raises(ApiError) as error:
                    await tenant.deliveries(where, 1, cursor)
                assert error.value.code == "invalid_cursor"
            assert len((await stage.tenant.deliveries(ALL, 2, cursor)).items) == 2  # another limit is the same list

    asyncio.run(main())


@pytest.mark.parametrize(
    ("where", "limit", "code"),
    [
        (ALL, 0, "invalid_limit"),
        (ALL, 101, "invalid_limit"),
        (DeliveryFilter("wbs_01HXYZ00000000000000000000"), 25, "resource_not_found"),
        (DeliveryFilter("no\x00"), 25, "resource_not_found"),
        (DeliveryFilter(event_type="no\x00"), 25, "unknown_event_type"),
    ],
)
def test_what_cannot_be_listed(databases: Databases, where: DeliveryFilter, limit: int, code: str) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            with pytest.raises(ApiError) as error:
                await stage.tenant.deliveries(where, limit)
            assert error.value.code == code

    asyncio.run(main())


def test_nothing_of_another_organisation(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            subscription = await stage.subscribe()
            (event,) = await stage.publish()
            other = stage.sender.tenant(await stage.another("other"))
            for where in (ALL, DeliveryFilter(event_id=event), DeliveryFilter(status=DeliveryStatus.PENDING)):
                assert (await other.deliveries(where)).items == []
            with pytest.raises(ApiError) as error:
                await other.deliveries(DeliveryFilter(subscription))
            assert error.value.code == "resource_not_found"

    asyncio.run(main())


def test_what_is_held_has_no_next_attempt(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            subscription = await stage.subscribe()
            await stage.publish()
            (shown,) = await listed(stage)
            assert shown.next_attempt_at == at(0)
            await stage.tenant.update_subscription(subscription, Changes(status=SubscriptionStatus.DISABLED))
            (held,) = await listed(stage)
            assert (held.status, held.next_attempt_at) == ("pending", None)
            await stage.tenant.update_subscription(subscription, Changes(status=SubscriptionStatus.ACTIVE))
            assert (await stage.tenant.delivery(shown.id)).next_attempt_at == at(0)

    asyncio.run(main())


def test_one_has_its_attempts(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            await stage.subscribe()
            await stage.publish()
            (delivery,) = await stage.ids()
            for outcome in (FAIL, FAIL, SUCCEED):
                stage.clock.advance(1)
                await stage.settled(outcome, delivery)
            shown = await stage.tenant.delivery(delivery)
            assert shown.attempts is not None
            assert [(one.number, one.started_at) for one in shown.attempts] == [(1, at(1)), (2, at(2)), (3, at(3))]
            assert (shown.attempt_count, shown.last_attempt_at, shown.finished_at) == (3, at(3), at(3))
            assert (await listed(stage))[0].attempts is None

    asyncio.run(main())


MANY = 12_000


def fill(organisation: str, subscription: str) -> Any:
    """All succeeded, or dead and replayed, of one type, original, but for a few of everything at the far end."""

    def row(number: int) -> dict[str, Any]:
        rare = number < 20
        return {
            "id": store.first_id(1_779_530_400_000 + number),
            "organisation_id": organisation,
            "subscription_id": subscription,
            "event": f"e{number}",
            "event_id": f"evt_{number}",
            "event_type": TYPES[rare],
            "source": "kirim",
            "kind": "test" if rare else "original",
            "original": None if rare else True,
            "status": ["pending", "failed", "dead"][number % 3] if rare else ["succeeded", "dead"][number % 2],
            "max_attempts": 8,
            "created_at": 1_779_530_400_000 + number,
            "replayed_by": None if rare else "wbd_",
        }

    said = {"id": "e3", "event_id": "evt_3", "type": TYPES[1], "source": "kirim", "size": 0, "matches": 0}
    said |= {"organisation_id": organisation, "body": b"", "created_at": 0}

    def operation(connection: Connection) -> None:
        connection.execute(insert(deliveries), [row(number) for number in range(MANY)])
        connection.execute(insert(events), said | {"dedupe_key": dedupe_key("kirim", "evt_3", TYPES[1], b"")})

    return operation


def test_a_page_reads_a_bounded_number_of_rows(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what is sought at the far end of the list, or nowhere."""
    monkeypatch.setattr(store, "WALK", 200)

    async def main() -> None:
        async with staged(databases) as stage:
            subscription = await stage.subscribe()
            await stage.database.write(fill(stage.organisation, subscription))
            if stage.database.dialect == "postgresql":
                await stage.run("ANALYZE deliveries")
            for where in every_filter(stage.organisation, subscription):
                count = await rows_read(stage.database, partial(store.listed, where=where, limit=25))
                assert count <= 4 * 200 + 26, where  # PostgreSQL may walk by the primary key, between the walk's ends
            of_event = await listed(stage, DeliveryFilter(event_id="evt_3"))
            assert [one.event_id for one in of_event] == ["evt_3"]

    asyncio.run(main())


def every_filter(organisation: str, subscription: str) -> list[store.Where]:
    """Each combination."""
    window = store.first_id(1_779_530_400_000 + 10), store.first_id(1_779_530_400_000 + MANY - 1000)
    return [
        store.Where(organisation, subscription_id, status, event_type, event_id, kind, unreplayed, *bounds)
        for subscription_id, status, event_type, event_id, kind, unreplayed, bounds in itertools.product(
            [None, subscription],
            [None, *DeliveryStatus],
            [None, TYPES[1]],
            [None, "evt_3"],
            [None, DeliveryKind.TEST],
            [False, True],
            [(None, None), window],
        )
    ]
