"""The overview tells what the inbox holds and what came of it, on all three kinds, and stays harmless whatever came in.

Its figures are those of the inbox and of an account that the test keeps itself.
"""

from __future__ import annotations

import asyncio
import re
import threading
import time

import pytest

from kirimhook.contract.signature import Secret
from kirimhook.receiver.event import Event
from kirimhook.receiver.hooks import Hooks
from kirimhook.receiver.model import EventState
from kirimhook.receiver.pages import overview
from kirimhook.receiver.pages.overview import HANDLED, RECEIVED
from kirimhook.receiver.pages.rates import REFUSED, SERIES
from tests.receiver.deliveries import SECRET, delivery, envelope
from tests.receiver.pages.visiting import House, visiting
from tests.receiver.working import inbound, until
from tests.sender.dashboard.visiting import Page


def tile(page: Page, name: str) -> str:
    found = re.search(rf'tile-name">{name}</div><div class="tile-figure">(?:<a[^>]*>)?([^<]*)<', page.html)
    assert found is not None, name
    return found[1]


def row(page: Page, name: str) -> list[str]:
    """The cells of the row that begins with this header."""
    found = re.search(rf"<tr><th[^>]*>{re.escape(name)}</th>(.*?)</tr>", page.html, re.DOTALL)
    assert found is not None, name
    return re.findall(r"<td[^>]*>([^<]*)</td>", found[1])


async def ended(house: House, count: int) -> None:
    async def is_so() -> bool:
        return sum(house.meter.counter("kirimhook_handled_total").values()) >= count

    await until(is_so)


def test_every_series_is_drawn_in_one_of_the_charts() -> None:
    assert {*RECEIVED, *HANDLED} == {*SERIES, REFUSED}


def test_states_and_types_are_those_of_the_inbox_and_of_what_came_of_events(inbox_url: str) -> None:
    hooks, gate, began = Hooks(), threading.Event(), threading.Event()

    @hooks.on("contact.created")
    async def fine(event: Event) -> None: ...

    @hooks.on("contact.updated", attempts=1)
    async def fails(event: Event) -> None:
        raise ValueError("no such contact")

    @hooks.on("conversation.closed")
    def waits(event: Event) -> None:
        began.set()
        gate.wait(30)

    async def main() -> None:
        async with visiting(inbox_url, hooks=hooks) as house:
            kinds = ["contact.created"] * 3 + ["contact.updated"] * 2 + ["conversation.assigned"]
            await house.put(*(inbound(kind=kind) for kind in kinds), inbound(kind="conversation.closed"))
            await ended(house, 6)
            assert await asyncio.to_thread(began.wait, 30)
            page = await house.me.get()
            counts = (await house.inbox.stats()).counts
            for name, state in (
                ("Done", "done"),
                ("Parked", "parked"),
                ("Unhandled", "unhandled"),
                ("Running", "running"),
            ):
                assert tile(page, name) == str(counts[EventState(state)]), name
            assert [counts[EventState(state)] for state in ("done", "parked", "unhandled", "running")] == [3, 2, 1, 1]
            assert row(page, "contact.created") == ["0", "3", "0", "0", "0", "0"]  # received by nobody: they were put
            assert row(page, "contact.updated") == ["0", "0", "0", "2", "0", "0"]
            assert row(page, "conversation.assigned") == ["0", "0", "0", "0", "1", "0"]
            assert "/inbox/events/7" in page.links
            assert re.search(r"in \d+ s", page.text) is not None
            gate.set()
            await ended(house, 7)

    asyncio.run(main())


def test_what_was_received_is_counted_by_type_and_the_secret_says_when_it_matched(sqlite_url: str) -> None:
    async def main() -> None:
        async with visiting(sqlite_url) as house:
            now = int(time.time())
            house.rates.note(await house.fleet())
            for number in range(4):
                body = envelope(f"evt_{number}")
                answer = await house.receive(delivery(body, at=now, x_kirim_event_id=f"evt_{number}"))
                assert answer.status == 200, answer
            refused = await house.receive(delivery(at=now, signed=b"t=1,v1=" + b"0" * 64))
            assert refused.status == 401
            house.rates.note(await house.fleet())
            page = await house.me.get()
            assert row(page, "contact.created")[0] == "4"
            assert tile(page, "Received") == "4"
            fingerprint = Secret(SECRET).fingerprint
            assert fingerprint in page.text
            assert SECRET not in page.html
            assert "in force" in page.text
            figures = re.findall(r"<tr><th scope=\"row\">(\d\d:\d\d)</th>(.*?)</tr>", page.html)
            newest = re.findall(r">(\d+|–)<", figures[0][1])
            assert newest == ["4", "0", "1"]

    asyncio.run(main())


def test_an_empty_inbox_says_what_to_do_next(inbox_url: str) -> None:
    async def main() -> None:
        async with visiting(inbox_url) as house:
            page = await house.me.get()
            assert page.status == 200
            assert "Nothing was received yet" in page.text
            assert "kirimhook trigger" in page.text
            assert "No event is leased" in page.text

    asyncio.run(main())


def test_a_paused_inbox_says_so_and_offers_to_resume(sqlite_url: str) -> None:
    async def main() -> None:
        async with visiting(sqlite_url) as house:
            assert "/inbox/pause" in (await house.me.get()).actions
            await house.me.post("/pause")
            page = await house.me.get()
            assert "Handling is paused" in page.text
            assert "/inbox/resume" in page.actions
            assert "/inbox/pause" not in page.actions

    asyncio.run(main())


def test_a_type_that_is_markup_is_shown_as_text(sqlite_url: str) -> None:
    bad = '<script>alert(1)</script>"onload=x'

    async def main() -> None:
        async with visiting(sqlite_url) as house:
            house.meter.counter("kirimhook_received_types_total")[bad] += 1
            await house.put(inbound(key="<b>key</b>", kind=bad))
            leased = await house.inbox.lease(1, 30)
            assert leased
            page = await house.me.get()
            assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.html
            assert "<script>alert" not in page.html
            assert "<b>key" not in page.html
            sources = [said.get("src", "") for tag, said in page.tags if tag == "script"]
            assert all(source.startswith("/inbox/static/") for source in sources)

    asyncio.run(main())


def test_among_a_large_backlog_the_few_that_run_are_not_sought(inbox_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overview, "MOST_WAITING", 2)

    async def main() -> None:
        async with visiting(inbox_url) as house:
            await house.put(*(inbound() for _ in range(3)))
            assert len(await house.inbox.lease(1, 30)) == 1
            assert "/inbox/events/1" in (await house.me.get()).links
            await house.put(inbound())
            page = await house.me.get()
            assert "Not looked for" in page.text
            assert tile(page, "Running") == "1"

    asyncio.run(main())
