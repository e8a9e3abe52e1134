"""The list shows what its filters in the address mean, newest first, over all its pages, and says what to do next."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kirimhook.contract import ids
from kirimhook.contract.errors import ApiError
from kirimhook.contract.resources import DeliveryKind, DeliveryStatus, SubscriptionStatus
from kirimhook.sender.dashboard import filters
from kirimhook.sender.dashboard.deliveries import LIMIT
from kirimhook.sender.service import Changes, DeliveryFilter
from tests.sender.dashboard.visiting import House, Page, visiting
from tests.sender.databases import Databases
from tests.sender.stage import FAIL, REJECT, SUCCEED, TYPES, at

LIST = "/dashboard/deliveries"
MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  # bounds
WHERE = st.builds(
    DeliveryFilter,
    st.none() | st.text(min_size=1, max_size=40),
    st.none() | st.sampled_from(DeliveryStatus),
    st.none() | st.text(min_size=1, max_size=40),
    st.none() | st.text(min_size=1, max_size=40),
    st.none() | st.sampled_from(DeliveryKind),
    st.booleans(),
    st.none() | MOMENTS,
    st.none() | MOMENTS,
)


def listed(page: Page) -> list[str]:
    """The deliveries of a page, as its rows stand."""
    return [given["data-key"] for tag, given in page.tags if tag == "tr" and "data-key" in given]


def labelled(page: Page, text: str) -> str:
    """Where the link with this text leads."""
    found = re.search(rf'<a[^>]*href="([^"]*)"[^>]*>{text}</a>', page.html)
    assert found, (text, page.text)
    return found[1].replace("&amp;", "&")


async def follow(house: House, url: str) -> Page:
    assert url.startswith("/dashboard")
    return await house.me.get(url.removeprefix("/dashboard"))


@given(WHERE)
def test_an_address_says_what_is_meant(where: DeliveryFilter) -> None:
    url = filters.address("/deliveries", where)
    said = {name: values[0] for name, values in parse_qs(urlsplit(url).query, strict_parsing="?" in url).items()}
    assert set(said) <= set(filters.NAMES)
    assert filters.read(said) == where


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("status", "gone"), ("kind", "odd"), ("unreplayed", "yes"), ("created_after", "yesterday"),
        ("created_before", "0001-01-01T00:00:00+14:00"), ("event_id", "x" * 513),
    ],
)  # fmt: skip
def test_what_no_filter_means(name: str, text: str) -> None:
    with pytest.raises(ApiError) as error:
        filters.read({name: text})
    assert (error.value.code, error.value.param) == ("invalid_field_value", name)


def test_a_moment_without_a_zone_is_in_utc() -> None:
    said = filters.read({"created_after": "2026-05-23T10:00", "created_before": "2026-05-23T10:00:00.5+02:00"})
    assert said.created_after == datetime(2026, 5, 23, 10, tzinfo=UTC)
    assert said.created_before == datetime(2026, 5, 23, 8, 0, 0, 500_000, tzinfo=UTC)
    assert filters.local(said.created_after) == "2026-05-23T10:00:00"
    assert filters.local(said.created_before) == "2026-05-23T08:00:00.500"


def test_every_page_has_its_rows_once(databases: Databases) -> None:
    async def main() -> None:
        async with visiting(databases) as house:
            await house.stage.subscribe()
            await house.stage.publish(2 * LIMIT + 3)
            page = await house.me.get("/deliveries")
            seen = listed(page)
            assert len(seen) == LIMIT
            assert "First page" not in page.text
            while "Next page" in page.text:
                page = await follow(house, labelled(page, "Next page"))
                assert page.status == 200
                seen += listed(page)
            assert seen == list(reversed(await house.stage.ids()))
            assert labelled(page, "First page") == LIST

    asyncio.run(main())


def test_filters_are_what_the_address_says(databases: Databases) -> None:
    async def main() -> None:
        async with visiting(databases) as house:
            stage = house.stage
            one, two = await stage.subscribe(), await stage.subscribe(TYPES[1])
            for outcome in (SUCCEED, FAIL, REJECT):
                stage.clock.advance(1)
                await stage.publish(1, TYPES[0])
                await stage.settled(outcome, (await stage.ids())[-1])
            stage.clock.advance(1)
            (event,) = await stage.publish(1, TYPES[1])
            stage.clock.advance(60)
            dead = (await stage.ids("dead"))[0]
            replay = (await stage.tenant.replay(dead)).id
            everything = list(reversed(await stage.ids()))
            for query, expected in {
                "": everything,
                "status=dead": [dead],
                "status=dead&unreplayed=true": [],
                "status=failed": await stage.ids("failed"),
                f"subscription_id={two}": await stage.ids(subscription=two),
                f"event_type={TYPES[0]}&kind=replay": [replay],
                f"event_id={event}": everything[1:3],
                urlencode({"created_after": at(30).isoformat()}): [replay],
                urlencode({"created_before": at(30).isoformat()}): everything[1:],
                "status=&subscription_id=&event_type=&event_id=&kind=&created_after=&created_before=": everything,
            }.items():
                page = await house.me.get(f"/deliveries?{query}")
                assert page.status == 200, (query, page.text)
                assert listed(page) == expected, query
            assert one != two

    asyncio.run(main())


def test_a_window_is_one_click(databases: Databases) -> None:
    async def main() -> None:
        async with visiting(databases) as house:
            await house.stage.subscribe()
            await house.stage.publish()
            house.stage.clock.advance(1000)
            await house.stage.publish()
            old, new = await house.stage.ids()
            page = await house.me.get("/deliveries?status=pending")
            assert listed(page) == [new, old]
            assert listed(await follow(house, labelled(page, "last hour"))) == [new, old]
            lately = await follow(house, labelled(page, "last 15 minutes"))
            assert listed(lately) == [new]
            assert ("input", "2026-05-23T10:01:40") in [(tag, given.get("value")) for tag, given in lately.tags]

    asyncio.run(main())


def test_what_cannot_be_looked_for_is_said_above_what_was_typed(databases: Databases) -> None:
    async def main() -> None:
        async with visiting(databases) as house:
            await house.stage.subscribe()
            await house.stage.publish()
            for query, words in {
                "status=odd": "status: is one of: pending",
                "event_type=<b>&event_id=evt_7": "there is no such event type",
                "created_after=soon": "created_after: is a moment",
                "cursor=forged": "cursor",
            }.items():
                page = await house.me.get(f"/deliveries?{query}")
                assert page.status == 400
                assert words in page.text
                assert listed(page) == []
                assert "<b>" not in page.html
            typed = await house.me.get("/deliveries?event_type=<b>&event_id=evt_7")
            assert ("input", "evt_7") in [(tag, given.get("value")) for tag, given in typed.tags]
            assert (await house.me.get("/deliveries?odd=1")).status == 400
            unknown = ids.make(ids.SUBSCRIPTION, 1, bytes(10))
            assert (await house.me.get(f"/deliveries?subscription_id={unknown}")).status == 404

    asyncio.run(main())


def test_each_empty_list_says_what_to_do(databases: Databases) -> None:
    async def main() -> None:
        async with visiting(databases) as house:
            nothing = await house.me.get("/deliveries")
            assert "No deliveries yet" in nothing.text
            assert labelled(nothing, "Go to subscriptions") == "/dashboard/subscriptions"
            await house.stage.subscribe()
            await house.stage.publish()
            none = await house.me.get("/deliveries?status=dead")
            assert "No delivery matches" in none.text
            assert labelled(none, "Show all deliveries") == LIST

    asyncio.run(main())


def test_a_short_page_says_that_there_is_more(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kirimhook.sender.store.deliveries.WALK", 7)

    async def main() -> None:
        async with visiting(databases) as house:
            await house.stage.subscribe()
            await house.stage.publish(1, TYPES[1])
            house.stage.clock.advance(1)
            await house.stage.publish(20)
            page = await house.me.get(f"/deliveries?event_type={TYPES[1]}")
            assert "None yet among those looked through" in page.text
            found = listed(page)
            while not found:
                page = await follow(house, labelled(page, "Look further"))
                found = listed(page)
            assert found == (await house.stage.ids())[:1]

    asyncio.run(main())


def test_a_row_says_how_it_stands(databases: Databases) -> None:
    async def main() -> None:
        async with visiting(databases) as house:
            stage = house.stage
            subscription = await stage.subscribe()
            await stage.publish()
            stage.clock.advance(1)
            await stage.publish()
            first, second = await stage.ids()
            await stage.settled(FAIL, first)
            page = await house.me.get("/deliveries")
            assert "1/8" in page.text
            assert f"/dashboard/deliveries/{second}" in page.links
            assert f"/dashboard/subscriptions/{subscription}" in page.links
            assert "held" not in page.text
            await stage.tenant.update_subscription(subscription, Changes(status=SubscriptionStatus.DISABLED))
            assert (await house.me.get("/deliveries")).text.count("held") == 2
            await stage.tenant.delete_subscription(subscription)
            gone = await house.me.get("/deliveries")
            assert f"/dashboard/subscriptions/{subscription}" not in gone.links
            assert gone.text.count("deleted") == 2
            assert listed(await house.me.get(f"/deliveries?subscription_id={subscription}")) == [second, first]

    asyncio.run(main())


def test_what_is_selected_is_sent_and_all_that_match_are_named(databases: Databases) -> None:
    async def main() -> None:
        async with visiting(databases) as house:
            await house.stage.subscribe()
            await house.stage.dead(3)
            page = await house.me.get("/deliveries?status=dead&unreplayed=true")
            form = page.form("/dashboard/replays/selected")
            assert form["back"] == f"{LIST}?status=dead&unreplayed=true"
            assert form["csrf"] == house.me.csrf
            boxes = [given["value"] for tag, given in page.tags if given.get("name") == "id"]
            assert boxes == listed(page)
            # what differs from one load to the next is not in the region, or a swap would forget what was ticked
            assert page.html.index('name="once"') < page.html.index('id="live-list"') < page.html.index('name="id"')
            for _ in range(2):  # a double click
                answer = await house.me.post("/replays/selected", {**form, "id": boxes[:2]})
                assert answer.status == 303, answer.text
            assert len(await house.stage.ids("pending")) == 2
            assert listed(await follow(house, form["back"])) == boxes[2:]
            assert labelled(page, "Replay all that match") == "/dashboard/replays/new?status=dead&unreplayed=true"
            await house.stage.publish()
            assert "Replay all that match" not in (await house.me.get("/deliveries?status=pending")).text

    asyncio.run(main())


def test_the_first_page_is_live_and_no_other(databases: Databases) -> None:
    async def main() -> None:
        async with visiting(databases) as house:
            await house.stage.subscribe()
            await house.stage.publish(LIMIT + 1)
            page = await house.me.get("/deliveries")
            body = [given for tag, given in page.tags if tag == "body"]
            assert body == [{"data-live": ""}]
            later = await follow(house, labelled(page, "Next page"))
            assert [given for tag, given in later.tags if tag == "body"] == [{}]

    asyncio.run(main())


def test_nothing_of_another_organisation(databases: Databases) -> None:
    async def main() -> None:
        async with visiting(databases) as house:
            subscription = await house.stage.subscribe()
            (event,) = await house.stage.publish()
            other = await house.of("other")
            assert "No deliveries yet" in (await other.get("/deliveries")).text
            assert listed(await other.get(f"/deliveries?event_id={event}")) == []
            assert (await other.get(f"/deliveries?subscription_id={subscription}")).status == 404

    asyncio.run(main())
