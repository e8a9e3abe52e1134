"""A delivery's page says why it is so, what comes next, and all that was sent and answered: as text, whatever it is."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kirimhook.contract import headers, ids
from kirimhook.contract.resources import Attempt, SubscriptionStatus, Timing
from kirimhook.pages.bodies import MOST
from kirimhook.sender.dashboard.delivery import BAR, phases
from kirimhook.sender.model import NewEvent
from kirimhook.sender.service import Changes
from tests.sender.dashboard.visiting import House, Page, visiting
from tests.sender.databases import Databases
from tests.sender.stage import FAIL, REJECT, START, SUCCEED, TYPES, Stage

EVIL = '<script>alert(1)</script><img src=x onerror="alert(2)">\'"><svg/onload=alert(3)>{{7*7}}\x1b\u202e'
STATIC = "/dashboard/static/"


def path(delivery: str, under: str = "") -> str:
    return f"/deliveries/{delivery}{under}"


async def publish(stage: Stage, body: bytes, event_id: str = "evt_1") -> str:
    """The delivery of an event with this body."""
    await stage.tenant.publish([NewEvent("kirim", event_id, TYPES[0], body)])
    return (await stage.ids())[-1]


def recorded(**said: Any) -> str:
    sent = headers.build(
        source="kirim", event_type=TYPES[0], event_id="evt_1", delivery_id="wbd_1", attempt=1, signature="t=1,v1=**"
    )
    values: dict[str, Any] = {
        "number": 1, "started_at": datetime.fromtimestamp(START, UTC), "duration_ms": 40.0,
        "timing": Timing(1.0, 2.0, 3.0, 30.0), "address": "192.0.2.1",
        "request_headers": {"Host": "example.com", **sent, "Content-Length": "2"}, "response_status": 500,
        "response_headers": {}, "response_body": "no", "error": None, "next_attempt_at": None, "why_next": "Once more.",
    }  # fmt: skip
    return json.dumps(Attempt(**(values | said)).to_json())


async def tried(house: House, delivery: str, **said: Any) -> None:
    """An attempt of it failed, and was recorded as said."""
    await house.stage.settled(FAIL, delivery)
    await house.stage.run("UPDATE attempts SET record = :record", record=recorded(**said))


def is_harmless(page: Page) -> bool:
    """Nothing on it runs or loads anything but our own module, stylesheet and icon."""
    own = [given for tag, given in page.tags if tag in {"script", "img", "link", "iframe", "object", "embed"}]
    sources = [given.get("src") or given.get("href") or "" for given in own]
    handlers = [name for _, given in page.tags for name in given if name.startswith("on") or name == "style"]
    leads = [link for link in page.links if not link.startswith(("/", "#"))]
    return all(source.startswith(STATIC) for source in sources) and not handlers and not leads


def test_what_was_sent_and_answered_stands_there(databases: Databases) -> None:
    async def main() -> None:
        async with visiting(databases) as house:
            subscription = await house.stage.subscribe()
            delivery = await publish(house.stage, b'{"amount":1.10,"n":[]}')
            await tried(house, delivery, response_headers={"X-Why": "tired"}, response_body='{"code":7}')
            page = await house.me.get(path(delivery))
            assert page.status == 200
            for words in (
                "Attempt 1 of 8 failed:", "Attempt 2 of 8 comes", "answered 500", "Once more.", "POST /hook HTTP/1.1",
                "X-Kirim-Event-Id: evt_1", "X-Why: tired", '"code": 7', '"amount": 1.10', '{"amount":1.10,"n":[]}',
                "https://example.com/hook", "192.0.2.1", "connect 2.0 ms", "openssl dgst -sha256", "Attempts 1 of 8",
            ):  # fmt: skip
                assert words in page.text, words
            assert f"/dashboard/subscriptions/{subscription}" in page.links
            assert "**" in page.text
            assert [given for tag, given in page.tags if tag == "body"] == [{"data-live": ""}]
            assert set(page.form(f"/dashboard{path(delivery)}/replay")) == {"csrf", "once"}

    asyncio.run(main())


@pytest.mark.parametrize("under", ["", "/event"])
def test_a_payload_full_of_markup_is_harmless(databases: Databases, under: str) -> None:
    """In the body, the event's id, the answer's headers and body, the error, the description."""

    async def main() -> None:
        async with visiting(databases) as house:
            stage = house.stage
            subscription = await stage.subscribe()
            delivery = await publish(stage, json.dumps({"name": EVIL}, ensure_ascii=False).encode(), "</title><script>")
            await tried(
                house, delivery, response_body=EVIL, response_headers={"X-<script>": EVIL}, error=EVIL, why_next=EVIL,
                request_headers={"Host": EVIL},
            )  # fmt: skip
            await stage.run("UPDATE deliveries SET last_error = :evil", evil=EVIL)
            await stage.run(
                "UPDATE subscriptions SET description = :evil, url = :url", evil=EVIL, url="https://e/" + EVIL
            )
            page = await house.me.get(path(delivery, under))
            assert page.status == 200
            assert is_harmless(page)
            assert "alert(1)" in page.text
            assert "<script>alert" not in page.html
            assert "{{7*7}}" in page.text
            for list_of_all in ("/deliveries", f"/deliveries?subscription_id={subscription}"):
                listed = await house.me.get(list_of_all)
                assert is_harmless(listed)
                assert "<script>" not in listed.html

    asyncio.run(main())


def test_a_body_is_saved_as_it_is_and_never_shown_by_a_browser(databases: Databases) -> None:
    async def main() -> None:
        async with visiting(databases) as house:
            await house.stage.subscribe()
            body = b"<html><script>alert(1)</script>\x00\xff\r\n"
            delivery = await publish(house.stage, body)
            saved = await house.me.get(path(delivery, "/body"))
            assert saved.answer.content == body
            assert saved.headers["content-type"] == "text/plain; charset=utf-8"
            assert saved.headers["content-disposition"] == f'attachment; filename="{delivery}.body.txt"'
            assert saved.headers["x-content-type-options"] == "nosniff"
            script = await house.me.get(path(delivery, "/curl"))
            assert script.headers["content-disposition"].startswith("attachment")
            assert "base64 -d" in script.html
            assert "X-Kirim-Attempt: 1" in script.html

    asyncio.run(main())


def test_a_large_body_is_shown_in_part_and_saved_whole(databases: Databases) -> None:
    async def main() -> None:
        async with visiting(databases) as house:
            await house.stage.subscribe()
            body = json.dumps({"text": "x" * 300_000}).encode()
            delivery = await publish(house.stage, body)
            page = await house.me.get(path(delivery))
            assert "This is the beginning of it: 293.0 KiB in all." in page.text
            assert "set BODY to the file" in page.text
            assert len(page.html) < 3 * MOST
            assert (await house.me.get(path(delivery, "/body"))).answer.content == body

    asyncio.run(main())


def test_held_dead_replayed_and_deleted_are_said(databases: Databases) -> None:
    async def main() -> None:
        async with visiting(databases) as house:
            stage = house.stage
            subscription = await stage.subscribe()
            dead = await publish(stage, b"{}")
            await stage.settled(REJECT, dead)
            stage.clock.advance(1)
            replay = (await stage.tenant.replay(dead)).id
            await stage.tenant.update_subscription(subscription, Changes(status=SubscriptionStatus.DISABLED))
            held = await house.me.get(path(replay))
            assert "its subscription is disabled" in held.text
            assert "It is held until" in held.text
            assert f"/dashboard{path(dead)}" in held.links
            original = await house.me.get(path(dead))
            assert "No attempt follows: it was replayed." in original.text
            assert f"/dashboard{path(replay)}" in original.links
            await stage.tenant.delete_subscription(subscription)
            gone = await house.me.get(path(dead))
            assert "there is nobody to send it to" in gone.text
            assert f"/dashboard{path(dead)}/replay" not in gone.actions
            assert f"/dashboard/subscriptions/{subscription}" not in gone.links

    asyncio.run(main())


def test_of_an_erased_event_nothing_is_offered(databases: Databases) -> None:
    async def main() -> None:
        async with visiting(databases) as house:
            await house.stage.subscribe()
            delivery = await publish(house.stage, b"{}")
            await house.stage.settled(SUCCEED, delivery)
            await house.stage.run("UPDATE events SET body = :nothing, event_id = '', erased_at = 7", nothing=b"")
            await house.stage.run("UPDATE deliveries SET event_id = ''")
            page = await house.me.get(path(delivery))
            assert "there is nothing to send" in page.text
            assert "The body was erased" in page.text
            assert f"/dashboard{path(delivery)}/replay" not in page.actions
            for under in ("/body", "/curl"):
                assert (await house.me.get(path(delivery, under))).status == 409
            event = await house.me.get(path(delivery, "/event"))
            assert "were erased" in event.text
            assert (await house.me.get("/deliveries")).text.count("erased") == 1

    asyncio.run(main())


def test_an_event_and_all_that_became_of_it(databases: Databases) -> None:
    async def main() -> None:
        async with visiting(databases) as house:
            stage = house.stage
            for _ in range(2):
                await stage.subscribe()
            delivery = await publish(stage, b'{"a":1}', "evt_whole")
            replay = (await stage.tenant.replay(delivery)).id
            page = await house.me.get(path(delivery, "/event"))
            rows = [given["data-key"] for tag, given in page.tags if tag == "tr" and "data-key" in given]
            assert set(rows) == {*await stage.ids(), replay}
            assert "evt_whole" in page.text
            assert '"a": 1' in page.text
            assert "Size 7 B" in page.text

    asyncio.run(main())


def test_what_is_not_there_or_not_theirs_is_not_found(databases: Databases) -> None:
    async def main() -> None:
        async with visiting(databases) as house:
            await house.stage.subscribe()
            delivery = await publish(house.stage, b"{}")
            other = await house.of("other")
            unknown = ids.make(ids.DELIVERY, 1, bytes(ids.RANDOM_BYTES))
            for under in ("", "/event", "/body", "/curl"):
                assert (await house.me.get(path(delivery, under))).status == 200
                assert (await other.get(path(delivery, under))).status == 404
                for name in (unknown, "wbd_1", "%00"):
                    assert (await house.me.get(path(name, under))).status == 404

    asyncio.run(main())


MILLISECONDS = st.none() | st.floats(0, 10_000)
TIMINGS = st.builds(Timing, MILLISECONDS, MILLISECONDS, MILLISECONDS, MILLISECONDS)


@given(
    st.builds(Timing, MILLISECONDS, MILLISECONDS, MILLISECONDS, MILLISECONDS), st.floats(0, 5000), st.floats(0, 9000)
)
def test_the_parts_of_an_attempt_follow_each_other(timing: Timing, rest: float, more: float) -> None:
    known = [ms for ms in (timing.dns, timing.connect, timing.tls, timing.first_byte) if ms is not None]
    total = sum(known) + rest
    made = phases(Attempt.from_json(json.loads(recorded(timing=timing, duration_ms=total))), total + more)
    assert [phase.ms for phase in made[:-1]] == known
    assert made[-1].ms == pytest.approx(rest, abs=0.01)
    end = 0.0
    for phase in made:
        assert phase.x == pytest.approx(end, abs=0.2)
        end = phase.x + phase.width
    assert end == pytest.approx(BAR * total / (total + more) if total + more else 0.0, abs=0.5)
