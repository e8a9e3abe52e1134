"""The pages of events show what the inbox holds, on all three kinds, and nothing of it is more than text.

A filter is all in the URL, a page's end says where to go on, and what makes no sense is said beside its field.
"""

from __future__ import annotations

import asyncio
import json
from urllib.parse import urlsplit

import pytest

from kirimhook.receiver.model import Done, EventState, InboundEvent, Parked, RetryAt, Skipped, Unhandled
from kirimhook.receiver.pages import events as module
from tests.receiver.pages.stock import end_all, ended, everything, named
from tests.receiver.pages.visiting import House, visiting
from tests.receiver.working import inbound
from tests.sender.dashboard.visiting import Page

SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'><b>"
TRACEBACK = 'gave up after attempt 10: Traceback (most recent call last):\n  File "x.py"\nValueError: no such order'


def numbers(page: Page) -> list[int]:
    """Of the events on a list, in their order."""
    return [int(link.rpartition("/")[2]) for link in page.links if link.startswith("/inbox/events/")]


def local(url: str) -> str:
    """A link as the visitor takes it: the path under /inbox, with its query."""
    parts = urlsplit(url)
    return parts.path.removeprefix("/inbox") + (f"?{parts.query}" if parts.query else "")


def test_without_a_filter_it_shows_what_needs_somebody_with_its_reason(inbox_url: str) -> None:
    async def main() -> None:
        async with visiting(inbox_url) as house:
            parked = await ended(house.inbox, Parked(TRACEBACK), inbound())
            done = await ended(house.inbox, Done(), inbound())
            unhandled = await ended(house.inbox, Unhandled(), inbound(kind="order.created"))
            page = await house.me.get("/events")
            assert (page.status, numbers(page)) == (200, unhandled + parked)
            assert "ValueError: no such order" in page.text
            assert any(tag == "details" for tag, _ in page.tags)
            every = await house.me.get("/events", {"state": [state.value for state in EventState]})
            assert numbers(every) == unhandled + done + parked
            some = await house.me.get("/events", {"state": ["parked", "done"], "type": "contact.*"})
            assert numbers(some) == done + parked
            assert "Put back all that match" in some.text

    asyncio.run(main())


def test_a_list_goes_on_below_where_its_page_ended(inbox_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAGE", 4)

    async def main() -> None:
        async with visiting(inbox_url) as house:
            parked = await ended(house.inbox, Parked("p"), *(inbound() for _ in range(9)))
            page, found = await house.me.get("/events"), list[int]()
            for _ in range(5):
                found += numbers(page)
                following = [tags["href"] for tag, tags in page.tags if tags.get("rel") == "next"]
                if not following:
                    break
                page = await house.me.get(local(following[0]))
            assert found == parked[::-1]
            first = next(tags["href"] for tag, tags in page.tags if tags.get("rel") == "first")
            assert numbers(await house.me.get(local(first))) == parked[:-5:-1]

    asyncio.run(main())


def test_an_empty_list_says_what_to_do_next(sqlite_url: str) -> None:
    async def main() -> None:
        async with visiting(sqlite_url) as house:
            assert "Nothing needs you" in (await house.me.get("/events")).text
            filtered = await house.me.get("/events", {"type": "order.*"})
            assert "No event matches" in filtered.text
            assert "/inbox/events" in filtered.links
            assert "Nothing was put back yet" in (await house.me.get("/put-back")).text

    asyncio.run(main())


@pytest.mark.parametrize(
    "query",
    [{"received_after": "yesterday"}, {"type": "a*b"}, {"state": "dead"}, {"received_before": SCRIPT}],
)
def test_what_makes_no_sense_is_said_and_kept(sqlite_url: str, query: dict[str, str]) -> None:
    async def main() -> None:
        async with visiting(sqlite_url) as house:
            await ended(house.inbox, Parked("p"), inbound())
            page = await house.me.get("/events", query)
            assert page.status == 400
            assert numbers(page) == []
            assert "Nothing was looked for" in page.text
            name, value = next(iter(query.items()))
            if name != "state":
                assert page.form("/inbox/events")[name] == value
                assert any(tags.get("aria-invalid") for _, tags in page.tags)

    asyncio.run(main())


@pytest.mark.parametrize("query", [{"cursor": "x"}, {"cursor": "0"}, {"colour": "red"}, {"type": ["a", "b"]}])
def test_a_query_that_no_page_gave_out_is_refused(sqlite_url: str, query: dict[str, object]) -> None:
    async def main() -> None:
        async with visiting(sqlite_url) as house:
            assert (await house.me.get("/events", query)).status == 400

    asyncio.run(main())


def test_one_event_shows_where_it_stands_and_what_was_sent(inbox_url: str) -> None:
    async def main() -> None:
        async with visiting(inbox_url) as house:
            event = named(inbound("contact:7"))
            [number] = await ended(house.inbox, Parked(TRACEBACK), event)
            page = await house.me.get(f"/events/{number}")
            assert page.status == 200
            for words in ("Parked: given up after 1 attempt.", "Next: Nothing, until it is put back", "contact:7"):
                assert words in page.text
            for kept in (event.event_id, event.type, event.source, event.delivery_id, "ValueError: no such order"):
                assert kept in page.text
            same = next(link for link in page.links if "event_id=" in link)
            assert numbers(await house.me.get(local(same))) == [number]
            body = await house.me.get(f"/events/{number}/body")
            assert body.answer.content == event.body
            assert body.headers["content-disposition"] == f'attachment; filename="event-{number}.json"'
            assert body.headers["content-type"].startswith("text/plain")

    asyncio.run(main())


def test_an_event_says_whom_it_holds_back(inbox_url: str) -> None:
    async def main() -> None:
        async with visiting(inbox_url) as house:
            await house.put(*(inbound("k") for _ in range(3)), inbound("other"))
            first, second, third, _ = [stored.number for stored in await everything(house.inbox)][::-1]
            leases = await house.inbox.lease(1, 600)
            assert len(leases) == 1
            ahead = await house.me.get(f"/events/{first}")
            assert f"It holds back event {second} , event {third}" in ahead.text
            behind = await house.me.get(f"/events/{third}")
            assert "Waiting behind an earlier event of its ordering key." in behind.text
            assert f"It waits behind event {first}" in behind.text

    asyncio.run(main())


def test_what_is_due_later_and_what_is_paused_is_said(inbox_url: str) -> None:
    async def main() -> None:
        async with visiting(inbox_url) as house:
            await house.put(inbound())
            due = int(house.pages._parts.clock() * 1000) + 3_600_000
            [number] = await end_all(house.inbox, RetryAt(due, "ValueError: later"))
            page = await house.me.get(f"/events/{number}")
            assert "Waiting until it is due, after 1 attempt; the last one failed." in page.text
            assert "Attempt 2 is due in 59 min" in page.text
            await house.inbox.pause()
            assert "Handing out is paused" in (await house.me.get(f"/events/{number}")).text

    asyncio.run(main())


def harmful() -> InboundEvent:
    """Whatever of an event comes from outside holds markup."""
    body = json.dumps({"data": {"text": SCRIPT, "closing": "</pre></code></div></main>"}}, indent=1).encode()
    event = inbound(SCRIPT, kind=f"x{SCRIPT}", body=body)
    return named(event._replace(event_id=SCRIPT, source=SCRIPT, delivery_id=SCRIPT))


def test_a_payload_full_of_script_is_shown_and_harmless(inbox_url: str) -> None:
    async def main() -> None:
        async with visiting(inbox_url) as house:
            clean = await clean_tags(house)
            [number] = await ended(house.inbox, Parked(f"{SCRIPT}\n{SCRIPT}"), harmful())
            problem = harmful()._replace(problem=SCRIPT, dedupe_key=b"p" * 16, body=b"\xff\x00" + SCRIPT.encode())
            [broken] = await ended(house.inbox, Parked(SCRIPT), problem)
            listed = await house.me.get("/events")
            assert numbers(listed) == [broken, number]
            for page in (listed, await house.me.get(f"/events/{number}"), await house.me.get(f"/events/{broken}")):
                assert page.status == 200
                assert "<script>alert(1)</script>" in page.text, "it is there, as text"
                assert only_ours(page) == clean
            asked = await house.me.get(
                "/put-back/new", {"type": SCRIPT.split("*", maxsplit=1)[0].replace(" ", ""), "state": "done"}
            )
            assert only_ours(asked) == clean
            live = await house.me.get(f"/events/{number}/body")
            assert live.headers["x-content-type-options"] == "nosniff"
            assert "attachment" in live.headers["content-disposition"]

    asyncio.run(main())


def only_ours(page: Page) -> list[dict[str, str]]:
    """The scripts of a page. Asserts that nothing on it can run otherwise."""
    for tag, attributes in page.tags:
        assert tag not in {"b", "iframe", "object", "style"}
        assert tag != "img" or attributes["src"].startswith("/inbox/static/")
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        assert not attributes.get("href", "").lower().startswith(("javascript:", "data:"))
    return [attributes for tag, attributes in page.tags if tag == "script"]


async def clean_tags(house: House) -> list[dict[str, str]]:
    scripts = only_ours(await house.me.get("/events"))
    assert all(attributes["src"].startswith("/inbox/static/") for attributes in scripts)
    return scripts


def test_what_is_gone_says_so(inbox_url: str) -> None:
    async def main() -> None:
        async with visiting(inbox_url) as house:
            [number] = await ended(house.inbox, Unhandled(), inbound())
            assert await house.inbox.erase([number]) == 1
            page = await house.me.get(f"/events/{number}")
            assert "Its ids were erased" in page.text
            assert "so it cannot be put back" in page.text
            assert f"/inbox/events/{number}/put-back" not in page.actions
            assert (await house.me.get(f"/events/{number}/body")).status == 404
            listed = await house.me.get("/events", {"state": "unhandled"})
            assert "erased" in listed.text
            assert not [tags for _, tags in listed.tags if tags.get("name") == "number"]
            for missing in ("999999", "0", "x", "1" * 30, "-1"):
                assert (await house.me.get(f"/events/{missing}")).status == 404

    asyncio.run(main())


def test_the_first_page_of_what_needs_no_search_is_live(sqlite_url: str) -> None:
    async def main() -> None:
        async with visiting(sqlite_url) as house:
            await ended(house.inbox, Skipped(), inbound(livemode=False))
            for query, is_live in (
                ({}, True),
                ({"state": "done"}, True),
                ({"type": "x"}, False),
                ({"cursor": "9"}, False),
            ):
                page = await house.me.get("/events", query)
                body = next(tags for tag, tags in page.tags if tag == "body")
                assert ("data-live" in body) == is_live, query

    asyncio.run(main())
