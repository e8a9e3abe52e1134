"""Over the whole table of pages, on all three kinds of inbox: whatever is asked is answered, by a page that is guarded,
that a reader who hears it can use, and that works without its module; nothing in it came out of a payload as markup.
"""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kirimhook.pages.answers import HEADERS
from kirimhook.receiver.model import Parked, Settlement
from kirimhook.receiver.pages.routes import ROUTES
from tests.receiver.pages.visiting import PREFIX, House, visiting
from tests.receiver.pages.walking import GETS, filled, walk
from tests.receiver.working import inbound
from tests.sender.dashboard.visiting import Page

NASTY = '<script>alert("x")</script><img src=x onerror=alert(1)>'
BODY = f'{{"data": {{"name": "{NASTY.replace(chr(34), chr(92) + chr(34))}"}}}}'.encode()
NO_NUMBERS = ("0", "999", "-1", "x", "1.5", "٣", "9" * 40, "%00", "%E9", "..%2f..%2fetc", "1%20OR%201=1", "a" * 1500)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=30) | st.sampled_from(
    [
        NASTY,
        "0",
        "-1",
        "9" * 40,
        "2026-05-20T00:00:00Z",
        "0001-01-01",
        "parked",
        "*",
        "contact.*",
        "\N{RIGHT-TO-LEFT OVERRIDE}",
    ]
)


async def settled(house: House) -> None:
    """One event that is parked, number 1, and nasty in all that it says; one that runs; one that waits."""
    await house.put(inbound(NASTY, kind=NASTY, body=BODY))
    (lease,) = await house.inbox.lease(1, 30)
    assert await house.inbox.settle([Settlement(lease.token, lease.run[0].number, Parked(f"Traceback: {NASTY}"))]) == [
        True
    ]
    await house.put(inbound(kind="contact.created"))
    assert await house.inbox.lease(1, 30)
    await house.put(inbound(kind="contact.created"))


def check(page: Page) -> None:
    """Guarded, and whole: one heading, a name for every control, a token in every form, nothing inline."""
    said = page.answer.headers.multi_items()
    assert all(said.count((name.decode(), value.decode())) == 1 for name, value in HEADERS.items())
    if not page.headers["content-type"].startswith("text/html"):
        assert page.headers["content-type"].startswith("text/plain")
        assert "attachment" in page.headers.get("content-disposition", "")
        return
    tags = [tag for tag, _ in page.tags]
    assert [tags.count(tag) for tag in ("h1", "main", "title")] == [1, 1, 1]
    ids = [given["id"] for _, given in page.tags if "id" in given]
    assert len(set(ids)) == len(ids), sorted(ids)
    labelled = {given["for"] for tag, given in page.tags if tag == "label" and "for" in given}
    for tag, own in page.tags:
        assert tag not in {"style", "base", "iframe", "object", "embed"}
        assert not [name for name in own if name == "style" or name.startswith("on")], (tag, own)
        if tag in {"script", "img"}:
            assert own["src"].startswith(f"{PREFIX}/static/")
        if tag in {"input", "select", "textarea"} and own.get("type") != "hidden":
            assert own.get("id") in labelled or "aria-label" in own, (tag, own)


def test_every_page_is_whole_and_what_a_payload_says_is_text(inbox_url: str) -> None:
    async def main() -> None:
        async with visiting(inbox_url) as house:
            await settled(house)
            for route in GETS:
                page = await walk(house.me, route)
                assert page.status == (404 if "{id}" in route.path else 200), (route.path, page.text)
                check(page)
                posts = [given for tag, given in page.tags if tag == "form" and given.get("method") == "post"]
                assert page.html.count('name="csrf"') >= len(posts), route.path

    asyncio.run(main())


def test_every_live_page_names_its_regions(sqlite_url: str) -> None:
    async def main() -> None:
        async with visiting(sqlite_url) as house:
            await settled(house)
            for route in (route for route in GETS if route.live and "{id}" not in route.path):
                page = await house.me.get(filled(route))
                names = [given["id"] for _, given in page.tags if "data-region" in given]
                assert "data-live" in page.html, route.path
                assert names, route.path
                assert all(name.startswith("live-") for name in names)

    asyncio.run(main())


@pytest.mark.parametrize("name", NO_NUMBERS)
def test_what_names_no_event_and_no_run_is_404(sqlite_url: str, name: str) -> None:
    async def main() -> None:
        async with visiting(sqlite_url) as house:
            await settled(house)
            for route in (route for route in ROUTES if "{" in route.path):
                path = filled(route, name)
                page = await (house.me.get(path) if route.method == "GET" else house.me.post(path))
                assert page.status == 404, (path, page.status, page.text)
                check(page)

    asyncio.run(main())


@given(st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_query_is_a_defect(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    url = f"sqlite:///{tmp_path_factory.mktemp('inbox') / 'inbox.db'}"
    asked = [
        (route, {name: data.draw(TEXTS, name) for name in (*route.query, *route.many)})
        for route in GETS
        if route.query or route.many
    ]

    async def main() -> None:
        async with visiting(url) as house:
            await settled(house)
            for route, query in asked:
                page = await house.me.get(filled(route), query)
                assert page.status in {200, 303, 400}, (route.path, query, page.text)
                if page.status != 303:
                    check(page)
            assert house.log.named("page_failed") == []

    asyncio.run(main())


def test_an_unknown_parameter_is_400_on_every_page(sqlite_url: str) -> None:
    async def main() -> None:
        async with visiting(sqlite_url) as house:
            await settled(house)
            for route in GETS:
                assert (await house.me.get(filled(route), {"unknown": "1"})).status == 400, route.path

    asyncio.run(main())
