"""Over the whole table of pages: nobody sees one without a session, organisations do not see each other, no form is
taken that its own pages did not send, whatever is asked is answered, and every answer is guarded.
"""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kirimhook.pages.answers import HEADERS
from kirimhook.sender.dashboard.routes import ROUTES, Route
from tests.sender.dashboard.visiting import PREFIX, Page, visiting
from tests.sender.dashboard.walking import GETS, POSTS, account, filled, parameters, settled, walk
from tests.sender.databases import Databases

NO_IDS = ("x", "sub_", "%00", "%E9", "%F0%9F%92%A9", "..%2f..%2fetc", "%27%20OR%201=1--", "a" * 2000)
MANY = "&".join("abcdefgh" * 8)
NOWHERE = ("/nothing", "/subscriptions/", "//", "/static/", "/static/nothing.js", "/static/../app.py", "/%00")
TEXTS = st.text(st.characters(codec="utf-8"), max_size=40) | st.sampled_from(
    ["<script>alert(1)</script>", '"><img src=x onerror=1>', "0", "-1", "9" * 40, "2026-05-20T00:00:00Z", "0001-01-01"]
)
MARK = "only-acme-knows"


def is_guarded(page: Page) -> bool:
    """Every header that guards an answer, once, as the table has it."""
    said = page.answer.headers.multi_items()
    guarding = [(name.decode(), value.decode()) for name, value in HEADERS.items()]
    return all(said.count(pair) == 1 for pair in guarding) and page.headers["cache-control"] == "no-store"


def test_who_has_a_session_sees_every_page_whole(databases: Databases) -> None:
    """And so does a reader who hears it: one heading, a name for every control, nothing inline that is not text."""

    async def main() -> None:
        async with visiting(databases) as house:
            ids = await settled(house)
            for route in GETS:
                page = await walk(house.me, route, ids)
                assert page.status == 200, (route.path, page.text)
                assert is_guarded(page)
                if page.headers["content-type"].startswith("text/html"):
                    check_markup(page)

    asyncio.run(main())


def check_markup(page: Page) -> None:
    tags = [tag for tag, _ in page.tags]
    assert (tags.count("h1"), tags.count("main"), tags.count("title")) == (1, 1, 1)
    given_ids = [said["id"] for _, said in page.tags if "id" in said]
    assert len(set(given_ids)) == len(given_ids), sorted(given_ids)
    labelled = {said["for"] for tag, said in page.tags if tag == "label" and "for" in said}
    for tag, said in page.tags:
        assert tag not in {"style", "base", "iframe", "object", "embed"}
        assert not [name for name in said if name == "style" or name.startswith("on")], (tag, said)
        if tag == "script":
            assert said["src"].startswith(f"{PREFIX}/static/")
        if tag in {"input", "select", "textarea"} and said.get("type") != "hidden":
            assert said.get("id") in labelled or "aria-label" in said, (tag, said)
        if tag in {"a", "form", "link"}:
            target = said.get("href", said.get("action", ""))
            assert target.startswith(("/", "#", "?", "https://")), (tag, said)
    posted = [said["action"] for tag, said in page.tags if tag == "form" and said.get("method") == "post"]
    assert all("csrf" in fields for action in posted for fields in page.forms(action))


def test_without_a_session_there_is_nothing_but_the_way_in(databases: Databases) -> None:
    async def main() -> None:
        async with visiting(databases) as house:
            ids, before = await settled(house), await account(house)
            stranger = house.visitor()
            for route in ROUTES:
                page = await walk(stranger, route, ids)
                path = PREFIX + filled(route, ids)
                if route.method == "POST":
                    assert page.status == 401, path
                else:
                    assert page.status == 303, path
                    way = urlsplit(page.place)
                    assert way.path == f"{PREFIX}/sign-in"
                    assert parse_qs(way.query).get("next", [PREFIX]) == [path]
                assert is_guarded(page), path
                assert "acme" not in page.html
            assert await account(house) == before

    asyncio.run(main())


def test_what_is_anothers_is_not_found_and_stays_as_it_is(databases: Databases) -> None:
    async def main() -> None:
        async with visiting(databases) as house:
            ids = await settled(house)
            other = await house.of("other")
            before = await account(house)
            for route in ROUTES:
                if parameters(route):
                    page = await walk(other, route, ids)
                    assert page.status == 404, (route.method, route.path, page.text)
                    assert is_guarded(page)
            assert await account(house) == before

    asyncio.run(main())


def test_no_page_shows_what_is_anothers(databases: Databases) -> None:
    """Also those that take no id: lists and sums."""

    async def main() -> None:
        async with visiting(databases) as house:
            tenant = house.stage.tenant
            made = await tenant.create_subscription(f"https://{MARK}.example.com/", ["contact.created"], MARK)
            ids = {**await settled(house), "subscription_id": made.id}
            known = [MARK, *ids.values(), house.stage.organisation]
            other = await house.of("other")
            shown = 0
            for route in GETS:
                if not parameters(route):
                    theirs, mine = await walk(other, route, ids), await walk(house.me, route, ids)
                    assert theirs.status == mine.status == 200, route.path
                    assert not [word for word in known if word in theirs.html], route.path
                    shown += any(word in mine.html for word in known)
            assert shown  # else there was nothing to leak

    asyncio.run(main())


FORGED: dict[str, dict[str, Any]] = {
    "no token": {"token": False},
    "an empty token": {"fields": {"csrf": ""}},
    "two tokens": {"fields": {"csrf": ["", ""]}},
    "a token that was made up": {"fields": {"csrf": "A" * 43}},
    "another site": {"site": "cross-site"},
    "another host of the same site": {"site": "same-site"},
}


@pytest.mark.parametrize("forgery", FORGED)
def test_no_form_is_taken_that_our_own_pages_did_not_send(databases: Databases, forgery: str) -> None:
    async def main() -> None:
        async with visiting(databases) as house:
            ids, before = await settled(house), await account(house)
            for route in POSTS:
                page = await walk(house.me, route, ids, **FORGED[forgery])
                assert page.status in ((400, 403) if forgery == "two tokens" else (403,)), (route.path, page.text)
                assert is_guarded(page)
            assert await account(house) == before
            assert (await house.me.get("/account")).status == 200  # nor was one signed out

    asyncio.run(main())


def test_anothers_token_is_none(databases: Databases) -> None:
    """Neither another organisation's, nor one's own from a session before."""

    async def main() -> None:
        async with visiting(databases) as house:
            ids, before = await settled(house), await account(house)
            other = await house.of("other")
            earlier = house.me.csrf
            house.me = await house.of("acme")
            for route in POSTS:
                for token in (other.csrf, earlier):
                    page = await walk(house.me, route, ids, fields={"csrf": token})
                    assert page.status == 403, route.path
            assert (await account(house))["deliveries"] == before["deliveries"]

    asyncio.run(main())


def test_a_form_with_nothing_in_it_but_its_token_is_answered(databases: Databases) -> None:
    """With what is missing or was done; a defect would be 500."""

    async def main() -> None:
        async with visiting(databases) as house:
            for route in POSTS:
                ids = await settled(house)
                page = await walk(house.me, route, ids)
                assert page.status in (200, 303, 400, 409, 422), (route.path, page.status, page.text)
                assert is_guarded(page)
                if page.status == 303:
                    assert page.place.startswith(PREFIX)
                if route.path == "/sign-out":
                    house.me = await house.of("acme")

    asyncio.run(main())


def test_what_is_no_id_is_not_found(databases: Databases) -> None:
    async def main() -> None:
        async with visiting(databases) as house:
            good = await settled(house)
            for route in ROUTES:
                for name in parameters(route):
                    for wrong in NO_IDS:
                        page = await walk(house.me, route, {**good, name: wrong})
                        assert page.status == 404, (route.path, name, wrong, page.status)

    asyncio.run(main())


def test_a_parameter_that_a_page_does_not_know_is_refused(databases: Databases) -> None:
    async def main() -> None:
        async with visiting(databases) as house:
            ids = await settled(house)
            for route in ROUTES:
                path = filled(route, ids)
                given = [f"{name}=&{name}=" for name in route.query[:1]]
                given += [
                    "x=1",
                    "%00=1",
                    "live=1" if not route.live else "live=1&live=1",
                    "x%FF=1",
                    "&".join("abcdefgh" * 8),
                ]
                for query in given:
                    full = f"{path}?{query}"
                    page = await (house.me.get(full) if route.method == "GET" else house.me.post(full))
                    assert page.status == 400, (full, page.status)

    asyncio.run(main())


@pytest.mark.parametrize("chosen", [route for route in GETS if route.query], ids=lambda route: route.path or "/")
def test_whatever_a_parameter_says_is_answered(databases: Databases, chosen: Route) -> None:
    """No text in an address is a defect: 200, or an error page with a reason. And it comes back as text alone."""
    texts = st.text(st.characters(codec="utf-8"), max_size=40) | st.sampled_from(
        [
            "<script>alert(1)</script>",
            '"><img src=x onerror=1>',
            "0",
            "-1",
            "9" * 40,
            "2026-05-20T00:00:00Z",
            "0001-01-01",
        ]
    )
    wanted = st.dictionaries(st.sampled_from(chosen.query), texts, min_size=1, max_size=4)

    async def visit(asked: list[dict[str, str]]) -> None:
        async with visiting(databases, reads_per_minute=0) as house:
            ids = await settled(house)
            for query in asked:
                page = await walk(house.me, chosen, ids, **query)
                assert page.status in (200, 400, 404), (query, page.status, page.text)
                assert not [tag for tag, given in page.tags if tag == "script" and "src" not in given]
                assert not [given for _, given in page.tags if any(name.startswith("on") for name in given)]

    asked: list[dict[str, str]] = []

    @settings(max_examples=60, database=None, suppress_health_check=list(HealthCheck))
    @given(wanted)
    def collect(query: dict[str, str]) -> None:
        asked.append(query)

    collect()
    assert asked
    asyncio.run(visit(asked))


def test_head_is_get_without_the_page(databases: Databases) -> None:
    async def main() -> None:
        async with visiting(databases) as house:
            ids = await settled(house)
            for route in GETS:
                url = PREFIX + filled(route, ids)
                answer = await house.me.client.head(url)
                page = await walk(house.me, route, ids)
                assert (answer.status_code, answer.content) == (page.status, b""), url
                assert answer.headers["content-type"] == page.headers["content-type"]

    asyncio.run(main())


def test_another_method_is_refused_with_those_that_go(databases: Databases) -> None:
    async def main() -> None:
        async with visiting(databases) as house:
            ids = await settled(house)
            methods: dict[str, set[str]] = {}
            for route in ROUTES:
                methods.setdefault(PREFIX + filled(route, ids), set()).add(route.method)
            for url, known in methods.items():
                for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} - known:
                    page = Page(await house.me.client.request(method, url))
                    assert page.status == 405, (method, url)
                    assert {one.strip() for one in page.headers["allow"].split(",")} - {"HEAD"} == known
                    assert is_guarded(page)

    asyncio.run(main())


def test_there_is_nothing_anywhere_else(databases: Databases) -> None:
    async def main() -> None:
        async with visiting(databases) as house:
            for path in (
                "/nothing",
                "/subscriptions/",
                "//",
                "/static/",
                "/static/nothing.js",
                "/static/../app.py",
                "/%00",
            ):
                page = await house.me.get(path)
                assert page.status == 404, path
                assert is_guarded(page)

    asyncio.run(main())
