"""Who sees the pages. Without a token: this machine, under its own names, and no proxy. With one: whoever has it.

Every page is walked: nothing in the table is open to a stranger, no form is taken that these pages did not give out,
and every answer carries the headers that guard it.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kirimhook.pages.answers import HEADERS
from kirimhook.receiver.pages.access import COOKIE, SECURE_COOKIE, SESSION_SECONDS, Door
from kirimhook.receiver.pages.loopback import is_loopback
from kirimhook.receiver.pages.routes import ROUTES
from kirimhook.receiver.pages.tries import OF_ALL, OF_ONE, WINDOW, Tries
from kirimhook.testing.clock import Clock
from tests.receiver.pages.visiting import PREFIX, House, Visitor, visiting
from tests.receiver.pages.walking import POSTS, walk
from tests.sender.dashboard.visiting import Page

TOKEN = "correct-horse-battery-staple"
NAMES = ("127.0.0.1:9090", "localhost:9090", "LOCALHOST", "localhost.", "[::1]:9090", "[::1]", "127.0.0.1")
OTHER_NAMES = (
    "attacker.example",
    "127.0.0.1.attacker.example:9090",
    "localhost.attacker.example",
    "10.0.0.1",
    "[::2]",
    "",
    "@",
)
OPEN_WHEN_SIGNED_OUT = ("/sign-in", "/static/")


def is_guarded(page: Page) -> bool:
    said = page.answer.headers.multi_items()
    return all(said.count((name.decode(), value.decode())) == 1 for name, value in HEADERS.items())


async def under(house: House, host: str, headers: Mapping[str, str] | None = None) -> Page:
    return Page(await house.me.client.get(PREFIX, headers={"host": host, **(headers or {})}))


@pytest.mark.parametrize("host", NAMES)
def test_without_a_token_this_machine_sees_the_pages_under_its_own_names(sqlite_url: str, host: str) -> None:
    async def main() -> None:
        async with visiting(sqlite_url) as house:
            assert (await under(house, host)).status == 200

    asyncio.run(main())


@pytest.mark.parametrize("host", OTHER_NAMES)
def test_a_name_that_somebody_made_to_point_here_is_refused(sqlite_url: str, host: str) -> None:
    async def main() -> None:
        async with visiting(sqlite_url) as house:
            page = await under(house, host)
            assert page.status == 400
            assert "--admin-allow-host" in page.text
            assert is_guarded(page)

    asyncio.run(main())


def test_a_name_that_the_operator_trusts_is_one_of_ours(sqlite_url: str) -> None:
    async def main() -> None:
        async with visiting(sqlite_url, allowed=("Box.Internal",)) as house:
            assert (await under(house, "box.internal:9090")).status == 200
            assert (await under(house, "other.internal:9090")).status == 400
            proxied = {"x-forwarded-for": "203.0.113.9"}
            assert (await under(house, "box.internal", proxied)).status == 200  # its proxy says who comes in
            assert (await under(house, "localhost", proxied)).status == 403

    asyncio.run(main())


@pytest.mark.parametrize("header", ["Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP"])
def test_what_a_proxy_passed_on_needs_a_token(sqlite_url: str, header: str) -> None:
    async def main() -> None:
        async with visiting(sqlite_url) as house:
            assert (await under(house, "localhost", {header: "for=203.0.113.9"})).status == 403
        async with visiting(sqlite_url, token=TOKEN) as house:
            assert (await house.me.sign_in(TOKEN)).status == 303
            assert (await under(house, "pages.example.com", {header: "for=203.0.113.9"})).status == 200

    asyncio.run(main())


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "pages.example.com"])
def test_where_others_could_connect_and_no_token_was_set_nobody_sees_a_page(sqlite_url: str, host: str) -> None:
    async def main() -> None:
        async with visiting(sqlite_url, host=host) as house:
            for route in ROUTES:
                page = await walk(house.me, route, fields={"csrf": ""})
                assert page.status == 403, route
                assert "--admin-token-file" in page.text
            assert (await house.me.get("/sign-in")).status == 403

    asyncio.run(main())


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_with_a_token_a_stranger_sees_the_way_in_and_nothing_else(sqlite_url: str, host: str) -> None:
    async def main() -> None:
        async with visiting(sqlite_url, token=TOKEN, host=host) as house:
            for route in ROUTES:
                page = await walk(house.me, route, fields={"csrf": ""})
                assert is_guarded(page)
                if route.method == "GET":
                    assert (page.status, page.place) == (303, "/inbox/sign-in"), route
                else:
                    assert page.status == 401, route
            assert not (await house.inbox.stats()).paused
            assert (await house.me.get("", {"live": 1})).status == 401

    asyncio.run(main())


def test_who_signs_in_sees_the_pages_until_he_signs_out_and_a_copy_of_the_cookie_is_worth_nothing_then(
    sqlite_url: str,
) -> None:
    async def main() -> None:
        async with visiting(sqlite_url, token=TOKEN) as house:
            answer = await house.me.sign_in(TOKEN)
            assert (answer.status, answer.place) == (303, "/inbox")
            cookie = answer.headers["set-cookie"]
            assert cookie.startswith(f"{COOKIE}=")
            assert {"HttpOnly", "SameSite=strict", "Path=/", f"Max-Age={SESSION_SECONDS}"} <= set(cookie.split("; "))
            assert (await house.me.get()).status == 200
            copy = house.visitor()
            copy.client.cookies.update(house.me.client.cookies)
            assert (await copy.get()).status == 200
            assert (await house.me.post("/sign-out")).place == "/inbox/sign-in"
            assert [(await visitor.get()).status for visitor in (house.me, copy)] == [303, 303]
            assert [event["client"] for event in house.log.named("admin_signed_in")] == ["127.0.0.1"]

    asyncio.run(main())


def test_forms_of_the_way_in_and_out_that_these_pages_did_not_give_out_do_nothing(sqlite_url: str) -> None:
    async def main() -> None:
        async with visiting(sqlite_url, token=TOKEN) as house:
            forged = await house.me.post("/sign-in", {"token": TOKEN, "csrf": "forged"})
            assert (forged.status, "location" in forged.headers) == (403, False)
            assert "open for too long" in forged.text
            assert (await house.me.get()).status == 303
            assert (await house.me.sign_in(TOKEN)).status == 303
            assert (await house.me.post("/sign-out", {"csrf": "forged"})).status == 403
            assert (await house.me.get()).status == 200
            signed_in = await house.me.get("/sign-in")
            assert (signed_in.status, signed_in.place) == (303, PREFIX)

    asyncio.run(main())


def test_over_tls_the_cookie_is_bound_to_the_host(sqlite_url: str) -> None:
    async def main() -> None:
        async with visiting(sqlite_url, token=TOKEN) as house:
            https = house.visitor(origin="https://pages.example.com")
            https.client.headers["x-forwarded-proto"] = "https"
            cookie = (await https.sign_in(TOKEN)).headers["set-cookie"]
            assert cookie.startswith(f"{SECURE_COOKIE}=")
            assert "Secure" in cookie.split("; ")
            assert (await https.get()).status == 200

    asyncio.run(main())


def test_a_session_ends_after_twelve_hours(sqlite_url: str) -> None:
    async def main() -> None:
        clock = Clock()
        async with visiting(sqlite_url, token=TOKEN, clock=clock) as house:
            await house.me.sign_in(TOKEN)
            cookies = dict(house.me.client.cookies)
            clock.advance(SESSION_SECONDS - 1)
            assert (await house.me.get()).status == 200
            clock.advance(2)
            house.me.client.cookies.update(cookies)  # of a browser that keeps it longer than it was told to
            assert (await house.me.get()).status == 303

    asyncio.run(main())


@pytest.mark.parametrize("wrong", ["", " ", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "é", "\N{PILE OF POO}", "a" * 4000])
def test_a_wrong_token_lets_nobody_in_and_is_in_no_log(sqlite_url: str, wrong: str) -> None:
    async def main() -> None:
        async with visiting(sqlite_url, token=TOKEN) as house:
            page = await house.me.sign_in(wrong)
            assert page.status == 401
            assert "set-cookie" not in page.headers
            assert (await house.me.get()).status == 303
            (event,) = house.log.named("admin_sign_in_failed")
            assert {key: event[key] for key in ("client", "reason")} == {"client": "127.0.0.1", "reason": "wrong_token"}
            assert wrong.strip() == "" or wrong not in str(event)

    asyncio.run(main())


def test_who_is_wrong_too_often_waits_even_with_the_right_token_and_others_do_not(sqlite_url: str) -> None:
    async def main() -> None:
        clock = Clock()
        async with visiting(sqlite_url, token=TOKEN, clock=clock) as house:
            for _ in range(OF_ONE):
                assert (await house.me.sign_in("wrong-wrong-wrong")).status == 401
            for answer in (await house.me.sign_in(TOKEN), await bearer(house.me, TOKEN)):
                assert answer.status == 429
                assert 0 < int(answer.headers["retry-after"]) <= WINDOW
            assert (await house.visitor(address="127.0.0.2").sign_in(TOKEN)).status == 303
            clock.advance(WINDOW)
            assert (await house.me.sign_in(TOKEN)).status == 303

    asyncio.run(main())


async def bearer(visitor: Visitor, token: str, path: str = "") -> Page:
    return await visitor.get(path, headers={"authorization": f"Bearer {token}"})


def test_a_program_shows_the_token_each_time_and_needs_no_form(sqlite_url: str) -> None:
    async def main() -> None:
        async with visiting(sqlite_url, token=TOKEN) as house:
            shown = {"authorization": f"Bearer {TOKEN}"}
            assert (await bearer(house.me, TOKEN)).status == 200
            assert (await house.me.post("/pause", token=False, site=None, headers=shown)).status == 303
            assert (await house.inbox.stats()).paused
            assert (await bearer(house.me, "not-the-token-at-all")).status == 401
            basic = base64.b64encode(f"x:{TOKEN}".encode()).decode()
            assert (await house.me.get(headers={"authorization": f"Basic {basic}"})).status == 401

    asyncio.run(main())


@pytest.mark.parametrize("token", [None, TOKEN])
def test_a_form_that_these_pages_did_not_give_out_changes_nothing(sqlite_url: str, token: str | None) -> None:
    async def main() -> None:
        async with visiting(sqlite_url, token=token) as house:
            if token is not None:
                await house.me.sign_in(token)
            good = await house.me.csrf()
            for route in POSTS:
                for fields in ({}, {"csrf": ""}, {"csrf": good[:-1]}, {"csrf": good.swapcase()}):
                    assert (await walk(house.me, route, fields=fields, token=False)).status == 403, (route, fields)
                for site in ("cross-site", "same-site"):
                    assert (await walk(house.me, route, fields={"csrf": good}, site=site)).status == 403, (route, site)
                    headers = {"origin": "http://attacker.example"}
                    page = await walk(house.me, route, fields={"csrf": good}, site=None, headers=headers)
                    assert page.status == 403, route
            assert not (await house.inbox.stats()).paused

    asyncio.run(main())


def test_the_token_of_ones_own_session_is_no_good_in_anothers(sqlite_url: str) -> None:
    async def main() -> None:
        async with visiting(sqlite_url, token=TOKEN) as house:
            other = house.visitor()
            await house.me.sign_in(TOKEN)
            await other.sign_in(TOKEN)
            assert (await house.me.post("/pause", {"csrf": await other.csrf()})).status == 403
            assert (await house.me.post("/pause", {"csrf": await house.me.csrf()})).status == 303

    asyncio.run(main())


def test_what_is_no_page_is_404_and_another_method_405_and_an_unknown_parameter_400(sqlite_url: str) -> None:
    async def main() -> None:
        async with visiting(sqlite_url) as house:
            pages = [await house.me.get("/nothing"), await house.me.get("/pause"), await house.me.get("", {"x": "1"})]
            assert [page.status for page in pages] == [404, 405, 400]
            assert all(map(is_guarded, pages))
            posted = await house.me.client.post(f"{PREFIX}/pause", json={"csrf": await house.me.csrf()})
            assert posted.status_code == 415
            assert (await house.me.client.head(PREFIX)).content == b""

    asyncio.run(main())


def test_two_doors_with_one_token_know_each_others_sessions_and_two_tokens_do_not(sqlite_url: str) -> None:
    """A receiver that was started anew lets its operators go on."""

    async def main() -> None:
        async with visiting(sqlite_url, token=TOKEN) as house:
            await house.me.sign_in(TOKEN)
            cookies = dict(house.me.client.cookies)
        for token, status in ((TOKEN, 200), (TOKEN + "-changed", 303)):
            async with visiting(sqlite_url, token=token) as house:
                house.me.client.cookies.update(cookies)
                assert (await house.me.get()).status == status

    asyncio.run(main())


DOOR = Door("127.0.0.1", TOKEN, (), lambda: 1_800_000_000.0)


@given(st.text(max_size=200) | st.from_regex(r"[0-9]{1,12}\.[a-zA-Z0-9_-]{1,30}\.[0-9a-f]{64}", fullmatch=True))
@settings(max_examples=300)
def test_no_text_that_was_not_signed_is_a_session(text: str) -> None:
    assert not DOOR._is_session(text)


@given(st.ip_addresses())
def test_loopback_is_what_the_standards_say(address: object) -> None:
    text = str(address)
    mapped = text.lower().startswith("::ffff:")
    assert is_loopback(text) == (text.startswith("127.") or text == "::1") or mapped


@pytest.mark.parametrize(
    ("host", "expected"), [("localhost", True), ("localhost.example", False), ("", False), ("*", False)]
)
def test_a_name_is_not_taken_for_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 40)), max_size=150))
def test_tries_agree_with_a_count_of_each_window(steps: list[tuple[str, float]]) -> None:
    tries, now, began, heard = Tries(), 0.0, None, dict[str, int]()
    for client, pause in steps:
        now += pause
        if began is None or now - began >= WINDOW:
            began, heard = now, {}
        allowed = heard.get(client, 0) < OF_ONE and sum(heard.values()) < OF_ALL
        wait = tries.wait(client, now)
        assert (wait == 0) == allowed
        if allowed:
            tries.wrong(client, now)
            heard[client] = heard.get(client, 0) + 1
        else:
            assert now + wait >= began + WINDOW - 1e-6
