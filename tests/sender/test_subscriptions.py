"""Subscriptions: made, listed, changed; what cannot be is refused, what is another's is not there. Contract 5."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kirimhook.contract.errors import ApiError
from kirimhook.contract.resources import SubscriptionStatus
from kirimhook.sender.model import Held
from kirimhook.sender.service import Changes, KirimEvent, Sender
from tests.sender.databases import Databases
from tests.sender.stage import Stage, at, staged

URL, CREATED, UPDATED = "https://example.com/hook", "contact.created", "contact.updated"
UNKNOWN = ["wbs_" + "0" * 26, "", "wbs_", "wbs_a\0b", "\ud800", "wbd_" + "0" * 26, "wbs_" + "u" * 26]


async def code(awaitable: object) -> str:
    with pytest.raises(ApiError) as caught:
        await awaitable  # type: ignore[misc]  # any call of the service
    return caught.value.code


def test_a_new_one_shows_its_secret_this_once(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            made = await stage.tenant.create_subscription(URL, [UPDATED, CREATED, UPDATED], "Production")
            assert made.initial_secret is not None
            assert made.initial_secret.reveal().startswith("whsec_")
            found = await stage.tenant.subscription(made.id)
            assert found.initial_secret is None
            assert (found.url, found.description) == (URL, "Production")
            assert (found.status, found.disabled_reason) == (SubscriptionStatus.ACTIVE, None)
            assert found.events == (UPDATED, CREATED)
            assert found.created_at == at(0)
            (secret,) = found.secrets
            assert (secret.created_at, secret.expires_at) == (at(0), None)
            assert found.to_json() == {k: v for k, v in made.to_json().items() if k != "initial_secret"}
            plain = await stage.tenant.create_subscription(URL, [CREATED], "")
            assert plain.description is None

    asyncio.run(main())


def test_what_cannot_be_is_refused(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            made = await stage.subscribe(CREATED)
            cases: list[tuple[dict[str, Any], str, str]] = [
                ({"events": []}, "invalid_field_value", "events"),
                ({"events": ["order.created"]}, "unknown_event_type", "events"),
                ({"events": [CREATED, "a\0b"]}, "unknown_event_type", "events"),
                ({"description": "x" * 1001}, "invalid_field_value", "description"),
                ({"description": "a\0b"}, "invalid_field_value", "description"),
                ({"description": "\ud800"}, "invalid_field_value", "description"),
                ({"url": "https://example.com/" + "x" * 2048}, "invalid_webhook_url", "url"),
                ({"url": "https://example.com/\0"}, "invalid_webhook_url", "url"),
            ]
            for wrong, expected, param in cases:
                for call in (
                    stage.tenant.create_subscription(**{"url": URL, "events": [CREATED], **wrong}),
                    stage.tenant.update_subscription(made, Changes(**wrong)),
                ):
                    with pytest.raises(ApiError) as caught:
                        await call
                    assert (caught.value.code, caught.value.param) == (expected, param)
            assert await stage.one("SELECT count(*) FROM subscriptions") == 1

    asyncio.run(main())


def test_every_url_is_checked_before_anything_is_written(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            seen = []

            async def check(url: str) -> None:
                seen.append(url)
                if "bad" in url:
                    raise ApiError("invalid_webhook_url", "bad", param="url")

            made = await stage.subscribe(CREATED)
            sender = Sender(stage.database, stage.settings, stage.sender.context.sealer, check_url=check)
            tenant = sender.tenant(stage.organisation)
            assert await code(tenant.create_subscription("https://bad/", [CREATED])) == "invalid_webhook_url"
            changes = Changes(url="https://bad/", description="new")
            assert await code(tenant.update_subscription(made, changes)) == "invalid_webhook_url"
            assert (await tenant.subscription(made)).description is None
            await tenant.update_subscription(made, Changes(url="https://good/"))
            await tenant.update_subscription(made, Changes(description="not the URL"))
            assert seen == ["https://bad/", "https://bad/", "https://good/"]
            assert (await tenant.subscription(made)).url == "https://good/"

    asyncio.run(main())


def test_only_what_is_named_changes(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            made = await stage.tenant.create_subscription(URL, [CREATED], "first")
            before = made.to_json()
            before.pop("initial_secret")
            version = await stage.one("SELECT version FROM subscriptions")
            steps: list[tuple[Changes, dict[str, Any]]] = [
                (Changes(), {}),
                (Changes(url="https://new.example.com/"), {"url": "https://new.example.com/"}),
                (Changes(description="second"), {"description": "second"}),
                (Changes(description=""), {"description": None}),
                (Changes(events=[UPDATED, CREATED]), {"events": [UPDATED, CREATED]}),
                (Changes(status=SubscriptionStatus.ACTIVE), {}),
                (
                    Changes(status=SubscriptionStatus.DISABLED),
                    {"status": "disabled", "disabled_reason": "manual"},
                ),
                (
                    Changes(status=SubscriptionStatus.ACTIVE, held=Held.DISCARD),
                    {"status": "active", "disabled_reason": None},
                ),
            ]
            for changes, expected in steps:
                before |= expected
                assert (await stage.tenant.update_subscription(made.id, changes)).to_json() == before
                assert (await stage.tenant.subscription(made.id)).to_json() == before
            assert await stage.one("SELECT version FROM subscriptions") > version, "engines see that it changed"

    asyncio.run(main())


def test_what_is_published_follows_the_types(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            made = await stage.subscribe(CREATED)
            await stage.tenant.update_subscription(made, Changes(events=[UPDATED]))
            events = [KirimEvent(CREATED, {}), KirimEvent(UPDATED, {})]
            assert [receipt.deliveries for receipt in await stage.tenant.publish(events)] == [0, 1]

    asyncio.run(main())


def test_held_deliveries_are_delivered_or_given_up(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases, keep_batch=2) as stage:
            for held, expected in [(Held.DELIVER, {("pending", None)}), (Held.DISCARD, {("dead", "discarded")})]:
                made = await stage.subscribe(CREATED)
                await stage.tenant.update_subscription(made, Changes(status=SubscriptionStatus.DISABLED))
                await stage.publish(7)
                await stage.tenant.update_subscription(made, Changes(status=SubscriptionStatus.ACTIVE, held=held))
                query = "SELECT DISTINCT status, dead_reason FROM deliveries WHERE subscription_id = :id"
                assert set(await stage.rows(query, id=made)) == expected
                assert await stage.one("SELECT held FROM subscriptions WHERE id = :id", id=made) == 0
            assert await stage.wrong() == set()

    asyncio.run(main())


def test_they_are_paged_newest_first(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            made = []
            for _ in range(7):
                stage.clock.advance(1)
                made.append(await stage.subscribe(CREATED))
            await stage.tenant.delete_subscription(made.pop(3))
            newest = made[::-1]
            assert [one.id for one in (await stage.tenant.subscriptions()).items] == newest
            found: list[str] = []
            cursor = None
            for number in range(3):
                page = await stage.tenant.subscriptions(2, cursor)
                found += [one.id for one in page.items]
                cursor = page.next_cursor
                assert (cursor is None) == (number == 2)
            assert found == newest
            assert (await stage.tenant.subscriptions(6)).next_cursor is None

    asyncio.run(main())


def test_a_limit_or_cursor_that_cannot_be_is_refused(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            for _ in range(3):
                await stage.subscribe(CREATED)
            cursor = (await stage.tenant.subscriptions(1)).next_cursor
            assert cursor is not None
            for limit in (0, -1, 101):
                assert await code(stage.tenant.subscriptions(limit)) == "invalid_limit"
            for wrong in ("", "x", cursor[:-2], cursor + "A", "é"):
                assert await code(stage.tenant.subscriptions(1, wrong)) == "invalid_cursor"
            other = stage.sender.tenant(await stage.another("other"))
            assert await code(other.subscriptions(1, cursor)) == "invalid_cursor"

    asyncio.run(main())


async def calls_on(stage: Stage, subscription: str) -> list[str]:
    tenant = stage.tenant
    return [
        await code(tenant.subscription(subscription)),
        await code(tenant.update_subscription(subscription, Changes(description="mine now"))),
        await code(tenant.update_subscription(subscription, Changes(status=SubscriptionStatus.ACTIVE))),
        await code(tenant.update_subscription(subscription, Changes(events=[UPDATED]))),
        await code(tenant.delete_subscription(subscription)),
        await code(tenant.add_secret(subscription)),
        await code(tenant.remove_secret(subscription, "sec_" + "0" * 26)),
        await code(tenant.test(subscription)),
    ]


def test_what_is_not_there_is_not_found(databases: Databases) -> None:
    """Unknown, deleted, or another organisation's: the same answer, and nothing changes."""

    async def main() -> None:
        async with staged(databases) as stage:
            theirs = await stage.tenant.create_subscription(URL, [CREATED], "theirs")
            deleted = await stage.subscribe(CREATED)
            await stage.tenant.delete_subscription(deleted)
            for unknown in [*UNKNOWN, deleted]:
                assert set(await calls_on(stage, unknown)) == {"resource_not_found"}
            acme = stage.organisation
            stage.organisation = await stage.another("other")
            assert set(await calls_on(stage, theirs.id)) == {"resource_not_found"}
            assert (await stage.tenant.subscriptions()).items == []
            stage.organisation = acme
            found = await stage.tenant.subscription(theirs.id)
            assert (found.description, found.events, len(found.secrets)) == ("theirs", (CREATED,), 1)

    asyncio.run(main())
