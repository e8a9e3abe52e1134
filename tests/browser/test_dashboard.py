"""The dashboard in a real browser: sign in, create, publish, watch a delivery fail and die, read why, replay, see it
succeed; many replayed at once, with progress; a payload full of markup stays text; all of it without JavaScript too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from kirimhook.testing.endpoint import Respond
from tests.browser.conftest import Look
from tests.browser.scenes import EVIL, sign_in
from tests.crash.waiting import until
from tests.serving.senders import Consumer, Sending, consumer

pytestmark = pytest.mark.needs("chromium")

LIVELY = ("--schedule", "0,1,1")
SWIFT = ("--schedule", "0,0.1")
MANY = 230
PAGE = 50


class Mood:
    """What the endpoint answers, until told otherwise."""

    def __init__(self) -> None:
        self.status = 500


@contextmanager
def scene(folder: Path, *arguments: str) -> Iterator[tuple[Sending, Consumer, Mood]]:
    mood = Mood()
    answer = consumer(choose=lambda _: Respond(mood.status, body=EVIL.encode()))
    with answer as endpoint, Sending(folder, *endpoint.trusting, *arguments) as sending:
        assert sending.key  # made before there is a browser
        yield sending, endpoint, mood


def create_subscription(page: Page, url: str) -> str:
    """By the form; its id. The secret is on the page then."""
    page.get_by_role("navigation", name="Pages").get_by_role("link", name="Subscriptions").click()
    page.get_by_role("link", name=re.compile("(New|Create).* subscription", re.IGNORECASE)).first.click()
    page.get_by_label("URL").fill(url)
    page.get_by_label("contact.created").check()
    page.get_by_role("button", name="Create subscription").click()
    expect(page.get_by_text(re.compile("whsec_.{40}")).first).to_be_visible()
    found = re.search(r"wbs_\w{26}", page.content())
    assert found is not None
    return found[0]


def test_a_delivery_fails_dies_and_is_replayed_before_our_eyes(look: Look, tmp_path: Path) -> None:
    with scene(tmp_path, *LIVELY) as (sending, endpoint, mood):
        window = look(sending.url)
        page = window.page
        window.open("/")
        window.examine("sign-in")
        sign_in(window, sending.key)
        window.examine("overview-empty")
        create_subscription(page, endpoint.url)
        window.examine("secret-shown")
        sending.call(
            "POST", "/v1/events", {"events": [{"type": "contact.created", "id": "evt_1", "data": {"x": EVIL}}]}
        )

        page.get_by_role("link", name="Deliveries").first.click()
        page.locator("main table a[href*='/deliveries/wbd_']").first.click()
        expect(page.get_by_text("attempt 2 of 3").first).to_be_visible()  # live: nobody loads the page again
        expect(page.locator(".badge-dead").first).to_be_visible()
        expect(page.get_by_text("Attempt 3 was the last of 3").first).to_be_visible()
        expect(page.get_by_text("500").first).to_be_visible()
        assert page.title() != "taken"
        assert page.locator("main script, main img").count() == 0
        window.examine("delivery-dead")

        mood.status = 200
        page.get_by_role("button", name="Replay").first.click()
        expect(page.locator(".badge-succeeded").first).to_be_visible()
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_label("API key")).to_be_visible()
        assert len(endpoint.received(4)) == 4


def test_all_that_match_are_replayed_with_a_count_first_and_progress_after(look: Look, tmp_path: Path) -> None:
    with scene(tmp_path, *SWIFT, "--set", f"disable_after={MANY + 1}") as (sending, endpoint, mood):
        sending.subscribe(endpoint.url, "contact.created")
        for start in range(0, MANY, 100):
            sending.publish(*[f"evt_{number}" for number in range(start, min(start + 100, MANY))])
        until(lambda: sending.metrics().get("kirimhook_sender_finished_total") == MANY, "all are dead")
        window = look(sending.url)
        page = window.page
        sign_in(window, sending.key)
        window.open("/dashboard/deliveries?status=dead")
        expect(page.locator(".badge-dead")).to_have_count(PAGE)
        mood.status = 200
        page.get_by_role("checkbox").nth(1).check()
        page.get_by_role("button", name="Replay selected").click()
        expect(page.get_by_text(re.compile(r"\b1 \w+"))).not_to_have_count(0)
        window.open("/dashboard/deliveries?status=dead")
        page.get_by_role("link", name="Replay all that match").or_(
            page.get_by_role("button", name="Replay all that match")
        ).click()
        expect(page.get_by_text(re.compile(str(MANY - 1))).first).to_be_visible()
        page.get_by_role("button", name=re.compile("^Replay")).click()
        expect(page.get_by_role("progressbar")).to_be_visible()
        expect(page.locator("main .badge-done")).to_be_visible()
        expect(page.get_by_text(re.compile(str(MANY - 1))).first).to_be_visible()
        assert len({*endpoint.ids(3 * MANY)[2 * MANY :]}) == MANY


def test_it_works_without_javascript(look: Look, tmp_path: Path) -> None:
    with scene(tmp_path, *SWIFT) as (sending, endpoint, mood):
        window = look(sending.url, javascript=False)
        page = window.page
        sign_in(window, sending.key)
        create_subscription(page, endpoint.url)
        sending.publish("evt_1")
        sending.logged("dead_letter")
        mood.status = 200
        page.get_by_role("link", name="Deliveries").first.click()
        page.locator("main table a[href*='/deliveries/wbd_']").first.click()
        page.get_by_role("button", name="Replay").first.click()
        endpoint.received(3)
        while page.locator("main .badge-succeeded").count() == 0:  # its answer is read and stored
            page.reload()
        window.examine("delivery-without-javascript")
        assert endpoint.ids(3) == ["evt_1"] * 3


def test_the_keyboard_is_enough(look: Look, tmp_path: Path) -> None:
    with scene(tmp_path) as (sending, _, _):
        window = look(sending.url)
        page = window.page
        window.open("/")
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        page.get_by_label("API key").focus()
        page.keyboard.type(sending.key)
        page.keyboard.press("Enter")
        expect(page.get_by_role("button", name="Sign out")).to_be_visible()
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator("#main")).to_be_focused()
