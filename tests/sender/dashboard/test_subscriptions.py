"""The pages of subscriptions show what is so: how each fares, what became of it, and nothing of another organisation.

What they say is held to the service's own answers and to the tables.
"""

from __future__ import annotations

import asyncio

from kirimhook.contract.resources import SubscriptionStatus
from kirimhook.sender.service import Changes
from kirimhook.sender.store import minutes
from tests.sender.dashboard.visiting import House, Page, visiting
from tests.sender.databases import Databases
from tests.sender.stage import FAIL, REJECT, START, TYPES

SUBSCRIPTIONS = "/dashboard/subscriptions"
EVIL = "<script>alert(1)</script>\"'><b>bold</b>"


def rows_of(page: Page) -> int:
    """Rows of its table, without the head."""
    return sum(1 for tag, _ in page.tags if tag == "tr") - 1


async def attempts(house: House, subscription: str, succeeded: int, failed: int, dead: int) -> None:
    """So many in this minute, as an engine sums them up."""
    sums = minutes.Sum(house.stage.organisation, int(START) // 60, subscription, "one", succeeded, failed, dead, "{}")
    await house.stage.database.write(lambda connection: minutes.replace(connection, [sums]))


def test_an_empty_list_says_what_to_do(databases: Databases) -> None:
    async def main() -> None:
        async with visiting(databases) as house:
            page = await house.me.get("/subscriptions")
            assert page.status == 200
            assert "No subscription yet" in page.text
            assert f"{SUBSCRIPTIONS}/new" in page.links

    asyncio.run(main())


def test_the_list_says_how_each_fares(databases: Databases) -> None:
    async def main() -> None:
        async with visiting(databases) as house:
            stage = house.stage
            busy, disabled = await stage.subscribe(), await stage.subscribe(TYPES[0])
            await stage.publish(3)
            await stage.tenant.update_subscription(disabled, Changes(status=SubscriptionStatus.DISABLED))
            await stage.run("UPDATE subscriptions SET failures = 17 WHERE id = :id", id=busy)
            await attempts(house, busy, 3, 1, 0)
            stage.clock.advance(90)
            page = await house.me.get("/subscriptions")
            assert rows_of(page) == 2
            assert f"{SUBSCRIPTIONS}/{busy}" in page.links
            for said in ["active", "3 1 min ago 17 75.00 % of 4", "disabled", "somebody disabled it", "3 held"]:
                assert said in page.text, said
            assert page.text.index("somebody disabled it") < page.text.index("75.00 %")  # the newest first

    asyncio.run(main())


def test_the_list_goes_on_where_a_page_ends(databases: Databases) -> None:
    async def main() -> None:
        async with visiting(databases) as house:
            for _ in range(27):
                house.stage.clock.advance(0.001)
                await house.stage.subscribe()
            page = await house.me.get("/subscriptions")
            assert rows_of(page) == 25
            (onwards,) = [link for link in page.links if "cursor=" in link]
            last = await house.me.get(onwards.removeprefix("/dashboard"))
            assert rows_of(last) == 2
            assert SUBSCRIPTIONS in last.links
            assert not [link for link in last.links if "cursor=" in link]
            shown = {link for found in (page, last) for link in found.links if link.startswith(f"{SUBSCRIPTIONS}/wbs_")}
            assert len(shown) == 27
            assert (await house.me.get("/subscriptions", cursor="x" + onwards[-20:])).status == 400

    asyncio.run(main())


def test_one_shows_what_waits_and_its_latest_deliveries(databases: Databases) -> None:
    async def main() -> None:
        async with visiting(databases) as house:
            stage = house.stage
            subscription = await stage.subscribe()
            await stage.publish(7)
            first, second, *_ = await stage.ids()
            await stage.settled(FAIL, first)
            await stage.settled(REJECT, second)
            page = await house.me.get(f"/subscriptions/{subscription}")
            assert "Waiting 6 open deliveries" in page.text
            newest = [f"/dashboard/deliveries/{one}" for one in reversed(await stage.ids())][:5]
            assert [link for link in page.links if "/deliveries/wbd_" in link] == newest
            for query in ("", "&status=dead"):
                assert f"/dashboard/deliveries?subscription_id={subscription}{query}" in page.links
            assert subscription in page.text
            for event_type in TYPES:
                assert event_type in page.text

    asyncio.run(main())


def test_one_that_is_disabled_says_why_and_what_it_holds(databases: Databases) -> None:
    reasons = {
        "manual": "somebody disabled it",
        "consecutive_failures": "too many of its deliveries died in a row",
        "gone": "its endpoint answered 410 Gone",
        "later": "reason: later",
    }

    async def main() -> None:
        async with visiting(databases, held_bound=50) as house:
            subscription = await house.stage.subscribe()
            await house.stage.publish(2)
            await house.stage.tenant.update_subscription(subscription, Changes(status=SubscriptionStatus.DISABLED))
            for reason, words in reasons.items():
                await house.stage.run("UPDATE subscriptions SET disabled_reason = :reason", reason=reason)
                page = await house.me.get(f"/subscriptions/{subscription}")
                assert f"disabled: {words}" in page.text
                assert "Held 2 of at most 50" in page.text
                assert f"{SUBSCRIPTIONS}/{subscription}/enable" in page.links

    asyncio.run(main())


def test_its_secrets_are_listed_and_the_last_cannot_be_deleted(databases: Databases) -> None:
    async def main() -> None:
        async with visiting(databases) as house:
            subscription = await house.stage.subscribe()
            here = f"/subscriptions/{subscription}"
            (first,) = (await house.stage.tenant.subscription(subscription)).secrets
            page = await house.me.get(here)
            assert first.id not in str(page.links)
            lone = await house.me.get(f"{here}/secrets/{first.id}/delete")
            assert f"/dashboard{here}/secrets/{first.id}/delete" not in lone.actions
            assert "cannot be deleted" in page.text
            refused = await house.me.post(f"{here}/secrets/{first.id}/delete")
            assert refused.status == 409
            assert "the only active secret" in refused.text
            second = await house.stage.tenant.add_secret(subscription, 24)
            page = await house.me.get(here)
            assert {f"/dashboard{here}/secrets/{one.id}/delete" for one in (first, second)} <= set(page.links)
            assert second.secret.reveal() not in page.html
            asked = await house.me.get(f"{here}/secrets/{first.id}/delete")
            assert "A receiver that has only this secret refuses every delivery" in asked.text
            assert f"/dashboard{here}/secrets/{first.id}/delete" in asked.actions
            assert (await house.me.get(f"{here}/secrets/sec_none/delete")).status == 404
            done = await house.me.post(f"{here}/secrets/{first.id}/delete")
            assert (done.status, done.place) == (303, f"/dashboard{here}?done=secret_deleted")
            left = (await house.stage.tenant.subscription(subscription)).secrets
            assert [one.id for one in left] == [second.id]

    asyncio.run(main())


def test_what_people_wrote_is_text(databases: Databases) -> None:
    async def main() -> None:
        async with visiting(databases) as house:
            made = await house.stage.tenant.create_subscription("https://example.com/?a=%3Cb%3E&b='", TYPES, EVIL)
            for path in ("", f"/{made.id}", *[f"/{made.id}/{page}" for page in ("edit", "delete", "secrets/new")]):
                page = await house.me.get(f"/subscriptions{path}")
                assert page.status == 200
                assert not [given for tag, given in page.tags if tag == "b" or (tag == "script" and "src" not in given)]
                assert EVIL in page.text or EVIL in [given.get("value") for _, given in page.tags], path

    asyncio.run(main())


def test_what_is_not_there_is_not_found(databases: Databases) -> None:
    """Unknown, another's or deleted: each page and each form."""

    async def main() -> None:
        async with visiting(databases) as house:
            theirs, deleted = await house.stage.subscribe(), await house.stage.subscribe()
            await house.stage.tenant.delete_subscription(deleted)
            other = await house.of("other")
            secret = (await house.stage.tenant.subscription(theirs)).secrets[0].id
            for visitor, one in [(other, theirs), (house.me, deleted), (house.me, "wbs_" + "0" * 26), (house.me, "x")]:
                for page in ("", "/edit", "/disable", "/enable", "/delete", "/secrets/new"):
                    assert (await visitor.get(f"/subscriptions/{one}{page}")).status == 404, page
                fields = {"url": "https://example.com/", "events": TYPES, "description": ""}
                assert (await visitor.post(f"/subscriptions/{one}/edit", fields)).status == 404
                for form in ("disable", "enable", "delete", "test", "secrets/new", f"secrets/{secret}/delete"):
                    assert (await visitor.post(f"/subscriptions/{one}/{form}")).status == 404, form
            assert (await house.stage.tenant.subscription(theirs)).status == SubscriptionStatus.ACTIVE
            assert theirs not in (await other.get("/subscriptions")).html

    asyncio.run(main())
