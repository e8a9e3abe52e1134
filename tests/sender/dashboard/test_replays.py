"""Replays on the pages: nothing is sent before it was counted and confirmed, and each is sent once per confirmation.

What is refused of a selection is said, with why, and does not keep the others back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import urlencode

import pytest

from kirimhook.contract.resources import DeliveryStatus, SubscriptionStatus
from kirimhook.sender.service import Changes, DeliveryFilter, replaying
from tests.sender.dashboard.visiting import PREFIX, House, visiting
from tests.sender.databases import Databases
from tests.sender.stage import FAIL, SUCCEED, TYPES

SOON = 30
NEW = f"{PREFIX}/replays"


def play(databases: Databases, scene: Callable[[House], Coroutine[Any, Any, None]], dead: int = 3) -> None:
    async def main() -> None:
        async with visiting(databases) as house, asyncio.timeout(SOON):
            await house.stage.subscribe()
            await house.stage.dead(dead)
            house.stage.clock.advance(1)
            await scene(house)
            await house.stage.sender.replaying.settled()

    asyncio.run(main())


async def made(house: House) -> list[str]:
    """What was replayed, as often as it was."""
    rows = await house.stage.rows("SELECT replayed_from FROM deliveries WHERE kind = 'replay' ORDER BY replayed_from")
    return [row[0] for row in rows]


def test_all_that_match_are_counted_confirmed_and_followed(databases: Databases) -> None:
    async def scene(house: House) -> None:
        dead = await house.stage.ids("dead")
        asked = await house.me.get("/replays/new", status="dead")
        assert "3 dead deliveries, not replayed before" in asked.text
        assert await made(house) == []
        form = asked.form(NEW)
        begun = await house.me.post("/replays", form)
        again = await house.me.post("/replays", form)
        assert (begun.status, begun.place, again.place) == (303, f"{NEW}/{form['run']}", again.place)
        await house.stage.sender.replaying.settled()
        assert await made(house) == dead
        await house.stage.settled(SUCCEED, *(await house.stage.ids("pending"))[:2])
        page = await house.me.get(f"/replays/{form['run']}")
        for words in ("done", "Enqueued 3", "Skipped 0", "Succeeded 2 of 3", "Dead again 0", "Open 1"):
            assert words in page.text, words
        assert f"{PREFIX}/replays/{form['run']}/stop" not in page.actions
        assert form["run"] in (await house.me.get("/replays")).html
        assert "Nothing to replay" in (await house.me.get("/replays/new")).text
        assert "3 dead deliveries, replayed before or not" in (await house.me.get("/replays/new", again="1")).text

    play(databases, scene)


def test_the_filter_of_the_list_is_what_is_replayed(databases: Databases) -> None:
    async def scene(house: House) -> None:
        subscription = await house.stage.subscribe(TYPES[1])
        await house.stage.dead(2, TYPES[1])
        expected = await house.stage.ids("dead", subscription)
        house.stage.clock.advance(1)
        asked = await house.me.get("/replays/new", subscription_id=subscription, event_type=TYPES[1], status="dead")
        assert f"2 dead deliveries of {TYPES[1]} to example.com/hook, not replayed before" in asked.text
        assert (await house.me.post("/replays", asked.form(NEW))).status == 303
        await house.stage.sender.replaying.settled()
        assert await made(house) == expected

    play(databases, scene)


def test_a_run_outlives_its_subscription_and_none_begins_without_it(databases: Databases) -> None:
    async def scene(house: House) -> None:
        tenant = house.stage.tenant
        subscription = (await tenant.subscriptions()).items[0].id
        run = await tenant.start_replay_run(DeliveryFilter(status=DeliveryStatus.DEAD, subscription_id=subscription))
        await tenant.delete_subscription(subscription)
        assert f"dead deliveries to {subscription}" in (await house.me.get(f"/replays/{run.id}")).text
        for subscription_id, status in ((subscription, 409), ("wbs_" + "0" * 26, 404)):
            asked = await house.me.get("/replays/new", status="dead", subscription_id=subscription_id)
            assert asked.status == status
        assert await made(house) == []

    play(databases, scene)


def test_a_run_is_stopped_and_what_it_made_stays(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replaying, "STEP", 2)

    async def scene(house: House) -> None:
        run = await house.stage.tenant.start_replay_run(DeliveryFilter(status=DeliveryStatus.DEAD))
        await replaying.step(house.stage.sender.context, run.id)
        page = await house.me.get(f"/replays/{run.id}")
        assert "2 of 3 taken so far" in page.text
        stopped = await house.me.post(f"/replays/{run.id}/stop", page.form(f"{PREFIX}/replays/{run.id}/stop"))
        assert stopped.place == f"{PREFIX}/replays/{run.id}"
        page = await house.me.get(f"/replays/{run.id}")
        assert "It was stopped after 2 of 3" in page.text
        assert len(await made(house)) == 2

    play(databases, scene)


def test_what_is_not_replayed_together_is_said(databases: Databases) -> None:
    async def scene(house: House) -> None:
        page = await house.me.get("/replays/new", status="succeeded")
        assert "Only dead and failed deliveries" in page.text
        assert NEW not in page.actions
        page = await house.me.get("/replays/new", event_id="evt_0")
        assert "The deliveries of one event are few" in page.text
        assert f"{PREFIX}/deliveries?event_id=evt_0" in page.links
        forged = {"run": house.stage.tenant.new_replay_run_id(), "status": "succeeded"}
        assert (await house.me.post("/replays", forged)).status == 400
        assert (await house.me.post("/replays", {"status": "dead"})).status == 400
        assert (await house.me.post("/replays", {"status": "dead", "run": "x"})).status == 400
        assert (await house.me.get("/replays/new", status="gone")).status == 400
        assert (await house.stage.tenant.replay_runs()).items == []

    play(databases, scene)


def test_what_a_disabled_subscription_and_failed_ones_mean_is_said_first(databases: Databases) -> None:
    async def scene(house: House) -> None:
        (subscription,) = [one.id for one in (await house.stage.tenant.subscriptions()).items]
        await house.stage.tenant.update_subscription(subscription, Changes(status=SubscriptionStatus.DISABLED))
        asked = await house.me.get("/replays/new", subscription_id=subscription)
        assert "the replays are held until it is enabled" in asked.text
        await house.stage.publish()
        await house.stage.settle_open(FAIL)
        asked = await house.me.get("/replays/new", status="failed", again="1")
        assert "1 failed delivery, replayed before or not" in asked.text
        assert "A replay goes beside it" in asked.text
        assert "it is sent once more" in asked.text

    play(databases, scene)


def test_selected_ones_are_replayed_and_refusals_said(databases: Databases) -> None:
    async def scene(house: House) -> None:
        stage = house.stage
        alive, *others = await stage.ids("dead")
        gone = await stage.subscribe(TYPES[1])
        await stage.dead(1, TYPES[1])
        (orphan,) = await stage.ids("dead", gone)
        await stage.tenant.delete_subscription(gone)
        unknown = alive[:-6] + "000000"
        fields = {"id": [alive, orphan, unknown, "<b>", alive], "back": f"{PREFIX}/deliveries?status=dead", "once": "x"}
        answer = await house.me.post("/replays/selected", fields)
        assert answer.status == 303
        assert (await house.me.post("/replays/selected", fields)).status == 303  # a double click
        assert await made(house) == [alive]
        page = await house.me.get(answer.place.removeprefix(PREFIX))
        assert "1 delivery was put in the queue again" in page.text
        assert "3 were not replayed" in page.text
        assert "Its subscription was deleted" in page.text
        assert f"{PREFIX}/deliveries?status=dead" in page.links
        assert f"{PREFIX}/deliveries/{orphan}" in page.links
        await house.me.post("/replays/selected", {"id": others})
        assert await made(house) == [alive, *others]

    play(databases, scene)


def test_a_selection_that_no_page_sends(databases: Databases) -> None:
    async def scene(house: House) -> None:
        nothing = await house.me.post("/replays/selected", {"back": "https://example.com/"})
        page = await house.me.get(nothing.place.removeprefix(PREFIX))
        assert "Nothing was selected" in page.text
        assert "example.com" not in nothing.place
        assert (await house.me.post("/replays/selected", {"id": [f"x{n}" for n in range(101)]})).status == 400
        for name, value in (
            ("made", "-1"),
            ("made", "9" * 5000),
            ("refused", "<b>~event_erased"),
            ("refused", "~x"),
            ("back", "//example.com"),
        ):
            page = await house.me.get(f"/replays/selected?{urlencode({name: value})}")
            assert page.status == 400, (name, value)
        assert await made(house) == []

    play(databases, scene)


def test_one_is_replayed_once_by_its_button(databases: Databases) -> None:
    async def scene(house: House) -> None:
        dead = (await house.stage.ids("dead"))[0]
        first = await house.me.post(f"/deliveries/{dead}/replay", {"once": "y"})
        second = await house.me.post(f"/deliveries/{dead}/replay", {"once": "y"})
        (fresh,) = await house.stage.ids("pending")
        assert (first.status, first.place, second.place) == (303, f"{PREFIX}/deliveries/{fresh}", first.place)
        assert await made(house) == [dead]

    play(databases, scene)


def test_an_empty_list_says_what_to_do(databases: Databases) -> None:
    async def scene(house: House) -> None:
        page = await house.me.get("/replays")
        assert "No replay of many yet" in page.text
        assert f"{PREFIX}/deliveries?status=dead" in page.links

    play(databases, scene, dead=0)


def test_the_list_has_pages(databases: Databases) -> None:
    async def scene(house: House) -> None:
        ids = []
        for _ in range(27):
            house.stage.clock.advance(1)
            run = await house.stage.tenant.start_replay_run(DeliveryFilter(status=DeliveryStatus.DEAD))
            await house.stage.tenant.stop_replay_run(run.id)
            ids.append(run.id)
        page = await house.me.get("/replays")
        (onward,) = [link for link in page.links if "cursor=" in link]
        following = await house.me.get(onward.removeprefix(PREFIX))
        seen = [link.rpartition("/")[2] for link in [*page.links, *following.links] if "/replays/run_" in link]
        assert seen == ids[::-1]
        assert f"{PREFIX}/replays" in following.links

    play(databases, scene, dead=0)


def test_a_filter_that_holds_markup_is_text(databases: Databases) -> None:
    async def scene(house: House) -> None:
        evil = "<script>alert(1)</script>"
        page = await house.me.get("/replays/new", event_id=evil)
        assert (page.status, evil in page.html) == (200, False)
        page = await house.me.get("/replays/new", subscription_id=evil)
        assert (page.status, evil in page.html) == (404, False)

    play(databases, scene)
