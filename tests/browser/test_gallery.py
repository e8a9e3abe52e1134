"""The shared look in a real browser: both widths and themes, and what the module does to a page that changes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Dialog, expect

from kirimhook.pages import moments
from kirimhook.pages.live import Live
from tests.browser.conftest import PATIENCE, Look
from tests.pages.gallery import PREFIX, Gallery, row, values
from tests.serving.running import serving

NOW = 1_800_000_000


@pytest.fixture
def gallery() -> Gallery:
    return Gallery(Live(every=0.05))


@pytest.fixture
def origin(gallery: Gallery) -> Iterator[str]:
    with serving(gallery.app) as (host, port):
        yield f"http://{host}:{port}"
        if gallery.loop is not None:
            gallery.loop.call_soon_threadsafe(gallery.live.close)


def test_it_reads_at_both_widths_and_in_both_themes(look: Look, origin: str) -> None:
    window = look(origin)
    window.open(PREFIX)
    expect(window.page.get_by_text("live", exact=True)).to_be_visible()
    window.examine("gallery")
    assert window.faults == []


def test_it_reads_without_the_module(look: Look, origin: str, gallery: Gallery) -> None:
    window = look(origin, javascript=False)
    window.open(PREFIX)
    expect(window.page.get_by_role("button", name="Copy id")).to_be_hidden()
    expect(window.page.get_by_label("Select all")).to_be_hidden()
    window.page.get_by_role("button", name="Delete").click()
    assert gallery.posted.get(timeout=10) == "delete"


def test_what_the_reader_did_stays_while_the_page_changes(look: Look, origin: str, gallery: Gallery) -> None:
    page = (window := look(origin)).page
    window.open(PREFIX)
    box = page.get_by_label(f"Select {gallery.shown['rows'][1]['id']}")
    box.check()
    box.focus()
    page.get_by_text("More", exact=True).click()
    box.focus()
    rows = gallery.shown["rows"]
    gallery.shown = {**gallery.shown, "rows": [row(77, "new", NOW), {**rows[1], "status": "dead"}, rows[3]]}
    expect(page.get_by_label(f"Select {row(77, '', NOW)['id']}")).to_be_visible()
    expect(page.locator("tbody [data-key]")).to_have_count(3)
    expect(page.locator(f"[data-key={rows[1]['id']}] .badge")).to_have_text("dead")
    expect(box).to_be_checked()
    expect(box).to_be_focused()
    expect(page.locator("#more")).to_have_attribute("open", "")
    expect(page.locator("tbody input:checked")).to_have_count(1)
    assert page.locator("#live-rows tbody tr").evaluate_all("all => all.map(one => one.dataset.key)") == [
        one["id"] for one in gallery.shown["rows"]
    ]


def test_hostile_text_stays_text_when_it_comes_live(look: Look, origin: str, gallery: Gallery) -> None:
    page = (window := look(origin)).page
    window.open(PREFIX)
    text = "<img src=x onerror=alert(1)><script>alert(2)</script>"
    gallery.shown = values(text)
    expect(page.locator("#live-rows tbody tr").first).to_contain_text(text)
    assert page.locator("#live-rows img, #live-rows script").count() == 0


def test_all_boxes_at_once_and_how_many_they_are(look: Look, origin: str) -> None:
    page = (window := look(origin)).page
    window.open(PREFIX)
    page.get_by_label("Select all").check()
    expect(page.get_by_role("button", name="Replay selected")).to_have_text("Replay selected (6)")
    page.get_by_label("Select dlv_").first.uncheck()
    expect(page.get_by_role("button", name="Replay selected")).to_have_text("Replay selected (5)")
    assert page.get_by_label("Select all").evaluate("all => [all.checked, all.indeterminate]") == [False, True]


def test_it_asks_before_what_cannot_be_undone(look: Look, origin: str, gallery: Gallery) -> None:
    page = (window := look(origin)).page
    window.open(PREFIX)
    asked: list[str] = []

    def decline(dialog: Dialog) -> None:
        asked.append(dialog.message)
        dialog.dismiss()

    page.once("dialog", decline)
    page.get_by_role("button", name="Delete").click()
    assert asked == ["Really?"]
    assert gallery.posted.empty()
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete").click()
    assert gallery.posted.get(timeout=10) == "delete"


def test_a_button_copies(look: Look, origin: str) -> None:
    page = (window := look(origin)).page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    window.open(PREFIX)
    button = page.get_by_role("button", name="Copy id")
    button.click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == "Text in a page."


def test_times_are_the_readers_and_say_what_the_server_says(look: Look, origin: str, gallery: Gallery) -> None:
    page = (window := look(origin)).page
    page.clock.set_fixed_time(datetime.fromtimestamp(NOW, UTC))
    behind = [0, 1, 59, 60, 3599, 3600, 7300, 47 * 3600, 48 * 3600, 10**7, -5, -61, -7200]
    gallery.shown = {
        **gallery.shown,
        "rows": [{**row(at, "", NOW), "created": NOW - one} for at, one in enumerate(behind)],
    }
    window.open(PREFIX)
    times = page.locator("td[data-label=Created] time")
    expect(times).to_have_text([moments.ago(NOW - one, NOW) for one in behind])
    assert re.fullmatch(r"2027-01-15 15:00:00\.000 (GMT|UTC)\+7", times.first.get_attribute("title") or "")


def test_the_first_stop_of_the_keyboard_skips_to_the_content(look: Look, origin: str) -> None:
    page = (window := look(origin)).page
    window.open(PREFIX)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()


def test_a_stream_that_cannot_be_had_is_said(look: Look, origin: str, gallery: Gallery) -> None:
    page = (window := look(origin)).page
    window.open(PREFIX)
    expect(page.get_by_text("live", exact=True)).to_be_visible()
    assert gallery.loop is not None
    gallery.loop.call_soon_threadsafe(gallery.live.close)
    expect(page.get_by_text("not live", exact=True)).to_be_visible(timeout=PATIENCE)
    window.faults.clear()  # the console says of a 503 that it is one
