"""An API key opens the dashboard of its organisation, and nothing else does: not a guess, not a form from elsewhere,
not a cookie that somebody planted or kept. What was tried is in the log, the key never.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from kirimhook.sender.dashboard import create_dashboard
from tests.sender.dashboard.visiting import PREFIX, House, Page, Visitor, events, visiting
from tests.sender.databases import Databases
from tests.sender.stage import at

SIGN_IN = f"{PREFIX}/sign-in"
PLAIN, SECURE = "kirimhook_session", "__Host-kirimhook"


async def sessions(house: House) -> int:
    return int(await house.stage.one("SELECT count(*) FROM sessions"))


def cookies(page: Page) -> dict[str, set[str]]:
    """What a page sets: name to attributes, the value among them."""
    found = {}
    for line in page.answer.headers.get_list("set-cookie"):
        pair, *attributes = line.split("; ")
        name, _, value = pair.partition("=")
        found[name] = {f"value={value.strip(chr(34))}", *(one.lower() for one in attributes)}
    return found


def test_a_key_opens_the_dashboard_of_its_organisation(databases: Databases) -> None:
    async def main() -> None:
        async with visiting(databases) as house:
            page = await house.me.get("/account")
            assert page.status == 200
            assert "acme" in page.text
            other = await house.of("other")
            assert "acme" not in (await other.get("/account")).text

    asyncio.run(main())


def test_a_key_with_blanks_around_it_is_that_key(databases: Databases) -> None:
    async def main() -> None:
        async with visiting(databases) as house:
            assert (await house.visitor().sign_in(f"  {await house.key('acme')}\r\n")).place == PREFIX

    asyncio.run(main())


def test_what_is_no_key_in_force_is_refused_in_the_same_words(
    databases: Databases, caplog: pytest.LogCaptureFixture
) -> None:
    """Who guesses learns nothing, not even that a key was one."""

    async def main() -> list[tuple[str, Page]]:
        async with visiting(databases) as house:
            sender = house.stage.sender
            revoked = await sender.create_organisation_key("acme")
            await sender.revoke_key("acme", revoked.id)
            expired = await sender.create_organisation_key("acme", at(1))
            house.stage.clock.advance(1)
            before = await sessions(house)
            tried = [revoked.key.reveal(), expired.key.reveal(), "kdv_live_" + "x" * 24, "é<script>", "", "x" * 5000]
            somebody = house.visitor()
            pages = [(key, await somebody.sign_in(key)) for key in tried]
            assert await sessions(house) == before
            return pages

    with caplog.at_level(logging.DEBUG, "kirimhook"):
        pages = asyncio.run(main())
    assert {page.status for _, page in pages} == {401}
    assert len({page.html for _, page in pages}) == 1
    assert not any(PLAIN in cookies(page) for _, page in pages)
    failed = events(caplog, "sign_in_failed")
    assert [event["reason"] for event in failed] == ["revoked_api_key", "expired_api_key", *["invalid_api_key"] * 4]
    assert {event["client"] for event in failed} == {"192.0.2.7"}
    for key, page in pages:
        assert not key or (key not in caplog.text and key not in page.html)


def test_who_signs_in_is_logged_without_the_key(databases: Databases, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> tuple[str, str]:
        async with visiting(databases) as house:
            key = await house.key("acme")
            await house.visitor(address="192.0.2.8").sign_in(key)
            return key, house.stage.organisation

    with caplog.at_level(logging.DEBUG, "kirimhook"):
        key, organisation = asyncio.run(main())
    last = events(caplog, "signed_in")[-1]
    assert (last["organisation_id"], last["client"]) == (organisation, "192.0.2.8")
    assert last["key_id"].startswith("key_")
    assert key not in caplog.text


@pytest.mark.parametrize("how", ["without its cookie", "with another's token", "from another site", "without a token"])
def test_nobody_is_signed_in_by_a_form_from_elsewhere(databases: Databases, how: str) -> None:
    """Else somebody could have me work in his organisation, and read what I write there."""

    async def main() -> None:
        async with visiting(databases) as house:
            before, victim, attacker = await sessions(house), house.visitor(), house.visitor()
            await victim.get("/sign-in")
            theirs = (await attacker.get("/sign-in")).form(SIGN_IN)
            fields = {**theirs, "key": await house.key("evil")}
            if how == "without its cookie":
                page = await house.visitor().post("/sign-in", fields)
            elif how == "with another's token":
                page = await victim.post("/sign-in", fields)
            elif how == "from another site":
                page = await attacker.post("/sign-in", fields, site="cross-site")
            else:
                page = await attacker.post("/sign-in", {**fields, "csrf": ""})
            assert page.status == 403
            assert PLAIN not in cookies(page)
            assert await sessions(house) == before
            assert page.form(SIGN_IN)["csrf"]  # and one can go on from there

    asyncio.run(main())


def test_tries_are_limited_by_address_and_the_right_key_waits_too(
    databases: Databases, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with visiting(databases) as house:
            key, guesser = await house.key("acme"), house.visitor(address="198.51.100.1")
            statuses = [(await guesser.sign_in("kdv_live_" + "x" * 24)).status for _ in range(21)]
            assert statuses == [401] * 20 + [429]
            refused = await guesser.sign_in(key)
            assert refused.status == 429
            assert 1 <= int(refused.headers["retry-after"]) <= 60
            assert (await house.visitor(address="198.51.100.2").sign_in(key)).status == 303  # others do not wait
            house.stage.clock.advance(int(refused.headers["retry-after"]))
            assert (await guesser.sign_in(key)).status == 303

    with caplog.at_level(logging.WARNING, "kirimhook"):
        asyncio.run(main())
    assert [event["reason"] for event in events(caplog, "sign_in_failed")][-2:] == ["rate_limit_exceeded"] * 2


def test_a_whole_network_of_ipv6_is_one_client(databases: Databases) -> None:
    """A household has 2^64 of them."""

    async def main() -> None:
        async with visiting(databases) as house:

            async def tried(address: str) -> int:
                return (await house.visitor(address=address).sign_in("kdv_live_" + "x" * 24)).status

            assert [await tried(f"2001:db8::{n:x}") for n in range(21)] == [401] * 20 + [429]
            assert await tried("2001:db8:0:1::1") == 401

    asyncio.run(main())


def test_tries_are_limited_in_all(databases: Databases) -> None:
    async def main() -> None:
        async with visiting(databases) as house:
            statuses = []
            for n in range(205):
                somebody = house.visitor(address=f"198.51.{n}.1")
                statuses.append((await somebody.sign_in("kdv_live_" + "x" * 24)).status)
            assert statuses.count(401) in (199, 200)  # one try was that of `house.me`
            assert set(statuses[200:]) == {429}

    asyncio.run(main())


@pytest.mark.parametrize("tls", ["none", "ours", "a proxy's"])
def test_what_the_cookie_is(databases: Databases, tls: str) -> None:
    async def main() -> None:
        async with visiting(databases, session_seconds=600.0) as house:
            dashboard = create_dashboard(house.stage.sender, clock=house.stage.clock, secure=tls == "ours")
            somebody = Visitor(dashboard, "http://dashboard.test" if tls == "none" else "https://dashboard.test")
            if tls == "a proxy's":
                somebody.client.headers["x-forwarded-proto"] = "https"
            page = await somebody.post("/sign-in", await filled_in(somebody, await house.key("acme")))
            name = PLAIN if tls == "none" else SECURE
            assert set(cookies(page)) == {name, "kirimhook_sign_in"}
            for one in cookies(page).values():
                assert {"httponly", "samesite=strict"} <= one
                assert ("secure" in one) == (tls != "none")
                assert not any(attribute.startswith("domain") for attribute in one)
            assert {"path=/", "max-age=600"} <= cookies(page)[name]
            assert (await somebody.get("/account")).status == 200

    asyncio.run(main())


async def filled_in(somebody: Visitor, key: str) -> dict[str, Any]:
    """The form to sign in with."""
    return {**(await somebody.get("/sign-in")).form(SIGN_IN), "key": key}


def test_over_tls_a_cookie_that_was_set_without_it_says_nothing(databases: Databases) -> None:
    """Whoever can speak for us without TLS could plant one."""

    async def main() -> None:
        async with visiting(databases) as house:
            token = house.me.client.cookies[PLAIN]
            for name, secure, status in (
                (PLAIN, False, 200),
                (PLAIN, True, 303),
                (SECURE, True, 200),
                (SECURE, False, 303),
            ):
                somebody = house.visitor()
                somebody.client.headers["cookie"] = f"{name}={token}"
                headers = {"x-forwarded-proto": "https"} if secure else {}
                assert (await somebody.get("/account", headers=headers)).status == status, (name, secure)

    asyncio.run(main())


def test_signing_in_takes_no_token_from_the_browser(databases: Databases) -> None:
    """What somebody planted is not the session that begins."""

    async def main() -> None:
        async with visiting(databases) as house:
            before, planted = await sessions(house), "A" * 43
            somebody = house.visitor()
            somebody.client.cookies.set(PLAIN, planted, domain="dashboard.test")
            form = await filled_in(somebody, await house.key("acme"))
            page = await somebody.post("/sign-in", form)
            [token] = [value for value in cookies(page)[PLAIN] if value.startswith("value=")]
            assert token != f"value={planted}"
            assert await house.stage.sender.session(planted) is None
            assert await sessions(house) == before + 1

    asyncio.run(main())


def test_signing_out_ends_the_session_for_whoever_has_a_copy(databases: Databases) -> None:
    async def main() -> None:
        async with visiting(databases) as house:
            thief = house.visitor()
            thief.client.cookies = house.me.client.cookies.__class__(house.me.client.cookies)
            assert (await thief.get("/account")).status == 200
            page = await house.me.sign_out()
            assert (page.status, page.place) == (303, SIGN_IN)
            assert "max-age=0" in cookies(page)[PLAIN]
            assert (await thief.get("/account")).status == 303
            assert (await thief.post("/sign-out", {"csrf": house.me.csrf})).status == 401
            assert await sessions(house) == 0

    asyncio.run(main())


def test_a_key_that_ends_shuts_its_sessions_out(databases: Databases) -> None:
    async def main() -> None:
        async with visiting(databases) as house:
            key = await house.stage.sender.create_organisation_key("acme")
            somebody = house.visitor()
            await somebody.sign_in(key.key.reveal())
            await house.stage.sender.revoke_key("acme", key.id)
            assert (await somebody.get("/account")).status == 303
            assert (await somebody.post("/sign-out")).status == 401
            assert (await house.me.get("/account")).status == 200  # another key of the same organisation

    asyncio.run(main())


def test_who_is_signed_in_goes_on_and_who_signed_in_goes_where_he_wanted(databases: Databases) -> None:
    async def main() -> None:
        async with visiting(databases) as house:
            assert (await house.me.get("/sign-in")).place == PREFIX
            assert (await house.me.get("/sign-in", next=f"{PREFIX}/account")).place == f"{PREFIX}/account"
            wanted = f"{PREFIX}/deliveries?status=dead&event_type=contact.created"
            somebody = house.visitor()
            way = (await somebody.get("/deliveries?status=dead&event_type=contact.created")).place
            form = (await somebody.get(way.removeprefix(PREFIX))).form(SIGN_IN)
            assert form["next"] == wanted
            assert (await somebody.post("/sign-in", {**form, "key": await house.key("acme")})).place == wanted

    asyncio.run(main())


def test_a_page_to_sign_in_with_names_its_field_and_keeps_nothing(databases: Databases) -> None:
    async def main() -> None:
        async with visiting(databases) as house:
            page = await house.visitor().get("/sign-in")
            [key] = [given for tag, given in page.tags if given.get("name") == "key"]
            assert (key["type"], key["value"]) == ("password", "")
            assert page.headers["cache-control"] == "no-store"
            assert page.status == 200

    asyncio.run(main())
