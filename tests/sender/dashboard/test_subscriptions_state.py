"""Disabled, enabled, deleted, rotated and tried from the dashboard: each page says first what becomes of the
deliveries, and then that is what becomes of them.
"""

from __future__ import annotations

import asyncio
import json

import pytest

from kirimhook.contract.resources import SubscriptionStatus
from kirimhook.sender.model import Rank
from kirimhook.sender.service import Changes
from kirimhook.sender.store import health
from tests.sender.dashboard.visiting import House, visiting
from tests.sender.databases import Databases
from tests.sender.stage import TYPES, at

DISABLE = Changes(status=SubscriptionStatus.DISABLED)


async def status(house: House, subscription: str) -> str:
    return (await house.stage.tenant.subscription(subscription)).status


def test_disabled_it_holds_what_its_page_said(databases: Databases) -> None:
    async def main() -> None:
        async with visiting(databases, held_bound=500) as house:
            subscription = await house.stage.subscribe()
            await house.stage.publish(3)
            here = f"/subscriptions/{subscription}"
            page = await house.me.get(f"{here}/disable")
            assert "3 are open now" in page.text
            assert "up to 500" in page.text
            done = await house.me.post(f"{here}/disable", page.form(f"/dashboard{here}/disable"))
            assert (done.status, done.place) == (303, f"/dashboard{here}?done=disabled")
            assert await status(house, subscription) == "disabled"
            after = await house.me.get(f"{here}?done=disabled")
            assert "its deliveries are held" in after.text
            assert "Held 3" in after.text
            assert "It is disabled already" in (await house.me.get(f"{here}/disable")).text
            assert (await house.me.post(f"{here}/disable")).status == 303  # sent twice: it is so already

    asyncio.run(main())


@pytest.mark.parametrize(
    ("held", "became"), [("deliver", ("pending", None, 0, 4)), ("discard", ("dead", "discarded", 4, 0))]
)
def test_enabled_what_was_held_becomes_what_was_chosen(
    databases: Databases, held: str, became: tuple[str, str | None, int, int]
) -> None:
    async def main() -> None:
        async with visiting(databases, disable_after=7) as house:
            subscription = await house.stage.subscribe()
            here = f"/subscriptions/{subscription}"
            await house.stage.publish(4)
            await house.stage.tenant.update_subscription(subscription, DISABLE)
            page = await house.me.get(f"{here}/enable")
            assert "What becomes of the 4 held deliveries" in page.text
            assert "7 disable it again" in page.text
            form = page.form(f"/dashboard{here}/enable")
            assert form["held"] == "deliver"
            done = await house.me.post(f"{here}/enable", {**form, "held": held})
            assert (done.status, done.place) == (303, f"/dashboard{here}?done=enabled")
            state, reason, dead, behind = became
            rows = await house.stage.rows("SELECT status, dead_reason FROM deliveries")
            assert rows == [(state, reason)] * 4
            assert len(await house.stage.ids("dead")) == dead
            waiting = await house.stage.one("SELECT count(*) FROM queue WHERE rank = :rank", rank=Rank.BACKGROUND)
            assert waiting == behind
            assert await status(house, subscription) == "active"
            assert await house.stage.wrong() == set()
            assert "It is active already" in (await house.me.get(f"{here}/enable")).text

    asyncio.run(main())


def test_nothing_held_leaves_no_choice(databases: Databases) -> None:
    async def main() -> None:
        async with visiting(databases) as house:
            subscription = await house.stage.subscribe()
            await house.stage.tenant.update_subscription(subscription, DISABLE)
            here = f"/subscriptions/{subscription}/enable"
            page = await house.me.get(here)
            assert "It holds nothing" in page.text
            form = page.form(f"/dashboard{here}")
            assert set(form) == {"csrf"}
            assert (await house.me.post(here, {**form, "held": "keep"})).status == 400
            assert await status(house, subscription) == "disabled"
            assert (await house.me.post(here, form)).status == 303
            assert await status(house, subscription) == "active"

    asyncio.run(main())


def test_deleted_its_open_deliveries_die_as_its_page_said(
    databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "MOST", 3)

    async def main() -> None:
        async with visiting(databases, retention=86_400) as house:
            subscription = await house.stage.subscribe()
            here = f"/subscriptions/{subscription}"
            for count, said in [(1, "1 open delivery becomes a dead letter"), (4, "3+ open deliveries become dead")]:
                await house.stage.publish(count)
                page = await house.me.get(f"{here}/delete")
                assert said in page.text
            assert "24 h after they were made" in page.text
            done = await house.me.post(f"{here}/delete", page.form(f"/dashboard{here}/delete"))
            assert (done.status, done.place) == (303, "/dashboard/subscriptions?done=deleted")
            assert await house.stage.rows("SELECT dead_reason FROM deliveries") == [("subscription_deleted",)] * 5
            assert "was deleted" in (await house.me.get("/subscriptions?done=deleted")).text
            assert (await house.me.get(here)).status == 404

    asyncio.run(main())


def test_a_secret_is_added_and_shown_once(databases: Databases) -> None:
    async def main() -> None:
        async with visiting(databases) as house:
            subscription = await house.stage.subscribe()
            here = f"/subscriptions/{subscription}"
            page = await house.me.get(f"{here}/secrets/new")
            assert f"kirimhook rotate {subscription} --secrets-file secrets.txt" in page.text
            house.stage.clock.advance(60)
            form = {**page.form(f"/dashboard{here}/secrets/new"), "expires_in_hours": "1.5"}
            answers = [await house.me.post(f"{here}/secrets/new", form) for _ in range(2)]
            first, second = (await house.stage.tenant.subscription(subscription)).secrets
            assert (first.expires_at, second.expires_at) == (None, at(60 + 5400))
            sealed = await house.stage.one("SELECT sealed FROM secrets WHERE id = :id", id=second.id)
            plain = house.stage.sender.context.sealer.open(bytes(sealed)).decode()
            assert [(answer.status, plain in answer.text) for answer in answers] == [(200, True)] * 2
            assert "all 2 in force sign" in answers[0].text
            for path in ("", "/secrets/new"):
                assert plain not in (await house.me.get(here + path)).html

    asyncio.run(main())


def test_a_secret_that_cannot_be_added_says_why(databases: Databases) -> None:
    async def main() -> None:
        async with visiting(databases, max_secrets=2) as house:
            subscription = await house.stage.subscribe()
            here = f"/subscriptions/{subscription}/secrets/new"
            for hours in ("soon", "0", "-1", "nan", "inf", "1e9"):
                page = await house.me.post(here, {"expires_in_hours": hours})
                assert page.status == 400
                (field,) = [given for _, given in page.tags if given.get("name") == "expires_in_hours"]
                assert (field["value"], field["aria-invalid"]) == (hours, "true")
            assert (await house.me.post(here)).status == 200
            full = await house.me.post(here)
            assert full.status == 409
            assert "2 secrets are active" in full.text
            assert len((await house.stage.tenant.subscription(subscription)).secrets) == 2

    asyncio.run(main())


def test_a_test_event_leads_to_its_delivery(databases: Databases) -> None:
    """One, however often the form is sent."""

    async def main() -> None:
        async with visiting(databases) as house:
            subscription = await house.stage.subscribe(TYPES[1])
            here = f"/subscriptions/{subscription}"
            form = (await house.me.get(here)).form(f"/dashboard{here}/test")
            sent = await asyncio.gather(*[house.me.post(f"{here}/test", {**form, "event": TYPES[1]}) for _ in range(3)])
            ((delivery, kind, event_type),) = await house.stage.rows("SELECT id, kind, event_type FROM deliveries")
            assert (kind, event_type) == ("test", TYPES[1])
            assert {(page.status, page.place) for page in sent} == {(303, f"/dashboard/deliveries/{delivery}")}
            unknown = await house.me.post(f"{here}/test", {"event": "order.created"})
            assert unknown.status == 400
            assert "no such event type" in unknown.text
            assert len(await house.stage.ids()) == 1

    asyncio.run(main())


def test_what_is_live_tells_what_is_so(databases: Databases) -> None:
    async def main() -> None:
        async with visiting(databases) as house:
            subscription = await house.stage.subscribe()
            await house.stage.publish(2)
            house.dashboard.live.life = 0.01
            for path, regions in [("", {"list"}), (f"/{subscription}", {"state", "latest"})]:
                page = await house.me.get(f"/subscriptions{path}", live="1")
                assert page.headers["content-type"].startswith("text/event-stream")
                told = [line.removeprefix("data: ") for line in page.html.splitlines() if line.startswith("data: ")]
                assert set(json.loads(told[0])) == regions
                assert subscription in page.html or "open deliveries" in page.html

    asyncio.run(main())
