"""The forms of subscriptions do what the API does: what is made is made once, what is wrong is said beside its field
with what was typed still there, and a secret is shown on one page alone.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kirimhook.contract.errors import ApiError
from kirimhook.contract.signature import Secret
from kirimhook.sender.transport.urls import BadUrl, check
from tests.sender.dashboard.visiting import House, Page, visiting
from tests.sender.databases import Databases
from tests.sender.stage import TYPES

NEW = "/subscriptions/new"
URL = "https://example.com/hook"
FIELDS = ("url", "events", "description")


async def filled(house: House, **fields: Any) -> dict[str, Any]:
    """The form of a new subscription, as a browser would send it."""
    page = await house.me.get(NEW)
    return {**page.form(f"/dashboard{NEW}"), "url": URL, "events": TYPES, "description": "Production", **fields}


def vetting(house: House) -> None:
    """From now on URLs are vetted as `kirimhook sender` does, where every name has a public address."""

    async def resolver(_name: str) -> list[str]:
        return ["93.184.215.14"]

    async def check_url(url: str) -> None:
        try:
            await check(url, resolver, [])
        except BadUrl as error:
            raise ApiError("invalid_webhook_url", f"The URL {error}.", param="url") from None

    house.stage.sender.context = replace(house.stage.sender.context, check_url=check_url)


def value_of(page: Page, name: str) -> str:
    """What stands in a field."""
    (found,) = [given["value"] for tag, given in page.tags if tag == "input" and given.get("name") == name]
    return found


def ticked(page: Page) -> list[str]:
    return [given["value"] for _, given in page.tags if given.get("type") == "checkbox" and "checked" in given]


async def secrets_that_sign(house: House) -> list[str]:
    """All that are kept, opened."""
    rows = await house.stage.rows("SELECT sealed FROM secrets ORDER BY id")
    return [house.stage.sender.context.sealer.open(bytes(row[0])).decode() for row in rows]


def test_a_new_one_is_made_and_its_secret_shown_once(databases: Databases) -> None:
    async def main() -> None:
        async with visiting(databases) as house:
            page = await house.me.post(NEW, await filled(house))
            assert page.status == 200
            (made,) = (await house.stage.tenant.subscriptions()).items
            assert (made.url, made.events, made.description) == (URL, TYPES, "Production")
            (secret,) = await secrets_that_sign(house)
            assert secret in page.text
            assert secret in [given.get("data-copy") for _, given in page.tags]
            assert Secret(secret).fingerprint in page.text
            assert page.headers["cache-control"] == "no-store"
            for path in ("/subscriptions", f"/subscriptions/{made.id}", f"/subscriptions/{made.id}/edit", NEW):
                assert secret not in (await house.me.get(path)).html

    asyncio.run(main())


def test_a_form_sent_twice_makes_one(databases: Databases) -> None:
    """Also at one time, and the second answer shows the same secret; another content, or another form, is another."""

    async def main() -> None:
        async with visiting(databases) as house:
            form = await filled(house)
            pages = await asyncio.gather(*[house.me.post(NEW, form) for _ in range(3)], house.me.post(NEW, form))
            (secret,) = await secrets_that_sign(house)
            assert [(page.status, secret in page.text) for page in pages] == [(200, True)] * 4
            changed = await house.me.post(NEW, {**form, "description": "Another"})
            again = await house.me.post(NEW, await filled(house))
            assert (changed.status, again.status) == (200, 200)
            assert len((await house.stage.tenant.subscriptions()).items) == 3

    asyncio.run(main())


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"url": "http://example.com/hook"}, "The URL must start with https://"),
        ({"url": "https://10.0.0.1/hook"}, "forbidden address 10.0.0.1"),
        ({"url": "https://example.com/" + "x" * 2100}, "a URL has at most 2048 characters"),
        ({"url": ""}, "The URL must start with https://"),
        ({"events": []}, "subscribe to at least one event type"),
        ({"events": ["order.created"]}, "there is no such event type"),
        ({"description": "x" * 1001}, "a description has at most 1000 characters"),
    ],
)
def test_what_is_wrong_is_said_and_what_was_typed_stays(databases: Databases, wrong: dict[str, Any], said: str) -> None:
    async def main() -> None:
        async with visiting(databases) as house:
            vetting(house)
            given = await filled(house, **wrong)
            page = await house.me.post(NEW, given)
            assert page.status == 400
            assert said in page.text
            (name,) = wrong
            below = "events-error" if name == "events" else f"field-{name}-error"
            (field,) = [tags for _, tags in page.tags if below in tags.get("aria-describedby", "").split()]
            assert name == "events" or (field["name"], field["aria-invalid"]) == (name, "true")
            assert value_of(page, "url") == given["url"]
            assert value_of(page, "description") == given["description"]
            assert ticked(page) == [event for event in given["events"] if event in TYPES]
            assert (await house.stage.tenant.subscriptions()).items == []
            mended = {**page.form(f"/dashboard{NEW}"), "url": URL, "events": TYPES, "description": ""}
            assert (await house.me.post(NEW, mended)).status == 200

    asyncio.run(main())


def test_whatever_is_typed_is_kept_or_refused(databases: Databases) -> None:
    """And shown as it was typed, but for blanks around it; no text is a defect."""
    texts = st.text(st.characters(codec="utf-8"), max_size=30) | st.sampled_from(
        ["<b>", "\"'>", "{{ 7 * 7 }}", "\u202e"]
    )
    typed: list[tuple[str, str]] = []

    @settings(max_examples=40, database=None, suppress_health_check=list(HealthCheck))
    @given(texts, texts)
    def collect(path: str, description: str) -> None:
        typed.append((f"https://example.com/{path}", description))

    async def main() -> None:
        async with visiting(databases, writes_per_minute=0) as house:
            vetting(house)
            for url, description in typed:
                house.stage.clock.advance(1)
                page = await house.me.post(NEW, await filled(house, url=url, description=description))
                if page.status == 200:
                    made = (await house.stage.tenant.subscriptions(1)).items[0]
                    assert (made.url, made.description or "") == (url.strip(), shown(description))
                    again = await house.me.get(f"/subscriptions/{made.id}/edit")
                    assert (value_of(again, "url"), value_of(again, "description")) == (made.url, shown(description))
                else:
                    assert page.status == 400
                    assert "\0" in f"{url}{description}" or value_of(page, "description") == shown(description)

    collect()
    asyncio.run(main())


def shown(typed: str) -> str:
    return typed.replace("\r\n", "\n").strip()


def test_a_change_is_made_and_the_rest_is_left(databases: Databases) -> None:
    async def main() -> None:
        async with visiting(databases) as house:
            made = await house.stage.tenant.create_subscription(URL, TYPES, "Production")
            here = f"/subscriptions/{made.id}"
            form = (await house.me.get(f"{here}/edit")).form(f"/dashboard{here}/edit")
            assert [form[name] for name in FIELDS] == [URL, list(TYPES), "Production"]
            done = await house.me.post(f"{here}/edit", {**form, "description": "", "events": TYPES[1]})
            assert (done.status, done.place) == (303, f"/dashboard{here}?done=updated")
            found = await house.stage.tenant.subscription(made.id)
            assert (found.url, found.events, found.description) == (URL, TYPES[1:], None)
            assert "was changed" in (await house.me.get(f"{here}?done=updated")).text
            vetting(house)
            refused = await house.me.post(f"{here}/edit", {**form, "url": "ftp://example.com/"})
            assert refused.status == 400
            assert value_of(refused, "url") == "ftp://example.com/"
            assert (await house.stage.tenant.subscription(made.id)) == found

    asyncio.run(main())


def test_a_url_that_is_left_is_not_vetted_again(databases: Databases) -> None:
    """A network that was allowed once: its description can be changed all the same."""

    async def main() -> None:
        async with visiting(databases) as house:
            made = await house.stage.tenant.create_subscription("https://10.0.0.1/", TYPES)
            vetting(house)
            here = f"/subscriptions/{made.id}/edit"
            form = (await house.me.get(here)).form(f"/dashboard{here}")
            assert (await house.me.post(here, {**form, "description": "ours"})).status == 303
            assert (await house.stage.tenant.subscription(made.id)).description == "ours"

    asyncio.run(main())


def test_a_type_that_the_catalogue_no_longer_has_stays_until_types_are_changed(databases: Databases) -> None:
    async def main() -> None:
        async with visiting(databases, catalogue=("contact.created", "contact.updated")) as house:
            made = await house.stage.tenant.create_subscription(URL, ["contact.created"])
            insert = "INSERT INTO subscribed_types VALUES (:organisation, 'order.created', :id, 1)"
            await house.stage.run(insert, organisation=house.stage.organisation, id=made.id)
            here = f"/subscriptions/{made.id}/edit"
            page = await house.me.get(here)
            assert "order.created, which the catalogue no longer has" in page.text
            form = page.form(f"/dashboard{here}")
            changed: list[tuple[dict[str, str | list[str]], tuple[str, ...]]] = [
                ({"description": "x"}, ("contact.created", "order.created")),
                ({"events": list(TYPES)}, TYPES),
            ]
            for changes, events in changed:
                assert (await house.me.post(here, {**form, **changes})).status == 303
                assert (await house.stage.tenant.subscription(made.id)).events == events

    asyncio.run(main())


def test_a_field_that_the_page_does_not_have_is_refused(databases: Databases) -> None:
    async def main() -> None:
        async with visiting(databases) as house:
            page = await house.me.post(NEW, await filled(house, status="disabled"))
            assert page.status == 400
            assert (await house.stage.tenant.subscriptions()).items == []

    asyncio.run(main())
