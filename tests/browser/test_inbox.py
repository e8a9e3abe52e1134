"""The receiver's pages in a real browser: an event is parked, we read why, mend the handler, put it back, and see it
handled; many put back at once, with a count first and progress after; handling paused and resumed.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Look
from tests.browser.scenes import INBOX_APP, deliver
from tests.serving.processes import serve

pytestmark = pytest.mark.needs("chromium")

MANY = 30


def test_a_parked_event_is_read_and_put_back(look: Look, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(INBOX_APP)
    with serve(tmp_path, "--attempts", "1") as serving:
        window = look(serving.started()["admin_url"])
        page = window.page
        window.open("/")
        expect(page.get_by_role("heading", name="Overview")).to_be_visible()
        window.examine("inbox-empty")
        for number in range(MANY):
            assert deliver(serving.url, number) == 200
        expect(page.locator(".tile", has_text="Parked").get_by_role("link", name=str(MANY))).to_be_visible()  # live

        page.get_by_role("link", name="Events").first.click()
        expect(page.locator(".badge-parked").first).to_be_visible()
        page.locator("main table a[href*='/events/']").first.click()
        expect(page.get_by_text("LookupError").first).to_be_visible()
        assert page.title() != "taken"
        assert page.locator("main script").count() == 0

        (tmp_path / "mended").touch()
        page.get_by_role("button", name="Put back").first.click()
        expect(page.locator(".badge-done").first).to_be_visible()

        window.open("/inbox/events?state=parked")
        page.get_by_role("link", name=re.compile("all that match")).first.click()
        expect(page.get_by_text(re.compile(rf"\b{MANY - 1}\b")).first).to_be_visible()
        page.get_by_role("button", name=re.compile("^Put back")).first.click()
        expect(page.locator("main .badge-done")).to_be_visible()
        expect(page.get_by_text(re.compile(rf"\b{MANY - 1}\b")).first).to_be_visible()
        window.open("/inbox")
        expect(page.locator(".tile", has_text="Done").get_by_role("link", name=str(MANY))).to_be_visible()


def test_handling_is_paused_and_resumed(look: Look, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(INBOX_APP)
    (tmp_path / "mended").touch()
    with serve(tmp_path) as serving:
        window = look(serving.started()["admin_url"])
        page = window.page
        page.on("dialog", lambda dialog: dialog.accept())
        window.open("/inbox")
        page.get_by_role("button", name="Pause").click()
        expect(page.get_by_text("Handling is paused").first).to_be_visible()
        assert deliver(serving.url, 0) == 200
        expect(page.locator(".tile", has_text="Waiting").get_by_role("link", name="1")).to_be_visible()
        window.examine("inbox-paused")
        page.get_by_role("button", name="Resume").click()
        expect(page.locator(".tile", has_text="Done").get_by_role("link", name="1")).to_be_visible()
