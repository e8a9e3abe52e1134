"""The first page says how deliveries have gone and what waits, in numbers that are the engine's own; to who is new it
says what to do; and it changes by itself while it is open.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, MutableMapping
from functools import partial
from typing import Any

import pytest

from kirimhook.sender.engine import Engine
from kirimhook.sender.latencies import bucket
from kirimhook.sender.store import minutes
from kirimhook.sender.store.minutes import Sum
from kirimhook.sender.transport import Transport
from kirimhook.testing.endpoint import Endpoint, Request, Respond
from tests.sender.dashboard.visiting import House, Page, visiting
from tests.sender.databases import Databases
from tests.sender.engines import settings_for
from tests.sender.stage import START, TYPES, Stage, at

THIS = int(START) // 60


async def summed(house: House, subscription: str, *rows: tuple[int, int, int, int], writer: str = "one") -> None:
    """Minutes ago, succeeded, failed, dead; of the organisation as well."""
    who, times = house.stage.organisation, minutes.packed({bucket(40): 1})
    sums = [Sum(who, THIS - row[0], of, writer, *row[1:], times) for row in rows for of in ("", subscription)]
    await house.stage.database.write(partial(minutes.replace, sums=sums))


def tiles(page: Page) -> dict[str, tuple[str, str]]:
    """Name to figure and what stands below it."""
    parts = re.findall(
        r'tile-name">(.*?)</div><div class="tile-figure">(.*?)</div>(?:<div class="tile-text">(.*?)</div>)?', page.html
    )
    return {name: (plain(figure), plain(text)) for name, figure, text in parts}


def plain(html: str) -> str:
    return (
        re.sub(r"<.*?>", "", html).replace("\N{NARROW NO-BREAK SPACE}", " ").replace("\N{NO-BREAK SPACE}", " ").strip()
    )


def test_who_is_new_is_told_what_to_do(databases: Databases) -> None:
    """First a subscription, then an event; then there are figures."""

    async def main() -> None:
        async with visiting(databases) as house:
            page = await house.me.get()
            assert "No subscription yet" in page.text
            assert "/dashboard/subscriptions/new" in page.links
            assert "curl -X POST http://dashboard.test/v1/events" in page.text
            assert tiles(page) == {}
            await house.stage.subscribe()
            page = await house.me.get()
            assert "No subscription yet" not in page.text
            assert "No attempt in the last hour" in page.text
            assert "curl" in page.text
            await house.stage.publish()
            page = await house.me.get()
            assert "curl" not in page.text
            assert tiles(page)["Due now"][0] == "1"

    asyncio.run(main())


def test_the_command_it_shows_publishes(databases: Databases) -> None:
    """Its body is one that the API takes."""

    async def main() -> None:
        async with visiting(databases, catalogue=("order.paid", *TYPES)) as house:
            page = await house.me.get()
            [body] = re.findall(r"-d '(\{.*\})'", page.text)
            event = json.loads(body)
            assert (event["type"], sorted(event)) == ("order.paid", ["data", "type"])
            visitor = house.visitor(origin="https://dashboard.test")
            behind_tls = {"x-forwarded-proto": "https"}
            visitor.client.headers.update(behind_tls)
            assert (await visitor.sign_in(await house.key("acme"))).status == 303
            assert "curl -X POST https://dashboard.test/v1/events" in (await visitor.get()).text

    asyncio.run(main())


def test_figures_are_what_was_summed_up(databases: Databases) -> None:
    async def main() -> None:
        async with visiting(databases) as house:
            subscription = await house.stage.subscribe()
            await summed(house, subscription, (50, 90, 5, 1), (2, 1110, 0, 3))
            page = await house.me.get()
            seen = tiles(page)
            assert seen["Attempts, last hour"] == ("1 209", "4 dead, 5 failed")
            assert seen["Of attempts succeeded"] == ("99.25 %", "of ended deliveries 99.66 %")
            assert seen["Publish to success"][0].endswith("ms")
            assert page.html.count("<svg") == 2
            assert f"/dashboard/subscriptions/{subscription}" in page.links
            assert "/dashboard/deliveries?status=dead" in page.links
            assert f"/dashboard/deliveries?subscription_id={subscription}&status=dead" in page.links
            at_two = next(line for line in re.findall(r"<tr>.*?</tr>", page.html) if f"{at(-120):%H:%M}" in line)
            assert [plain(cell) for cell in re.findall(r"<td.*?</td>", at_two)] == ["1 110", "0", "3"]

    asyncio.run(main())


@pytest.mark.parametrize(
    ("window", "label", "found"), [("60", "hour", 1), ("360", "6 hours", 3), ("1440", "24 hours", 7)]
)
def test_the_window_is_in_the_url(databases: Databases, window: str, label: str, found: int) -> None:
    async def main() -> None:
        async with visiting(databases) as house:
            await summed(house, await house.stage.subscribe(), (1, 1, 0, 0), (300, 2, 0, 0), (1400, 4, 0, 0))
            page = await house.me.get(window=window)
            assert tiles(page)[f"Attempts, last {label}"][0] == str(found)
            current = [given["href"] for tag, given in page.tags if given.get("aria-current") == "true"]
            assert current == [f"/dashboard?window={window}" if window != "60" else "/dashboard"]
            is_live = any("data-live" in given for tag, given in page.tags if tag == "body")
            assert is_live == (window == "60")

    asyncio.run(main())


@pytest.mark.parametrize("query", ["window=61", "window=x", "windows=60", "window=-60", "window=60&window=360"])
def test_another_window_is_refused(databases: Databases, query: str) -> None:
    async def main() -> None:
        async with visiting(databases) as house:
            assert (await house.me.get(f"?{query}")).status == 400

    asyncio.run(main())


def test_one_subscription_can_be_looked_at_alone(databases: Databases) -> None:
    """Whoever's else it is, it is not found."""

    async def main() -> None:
        async with visiting(databases) as house:
            one, other = [await house.stage.subscribe() for _ in range(2)]
            await summed(house, one, (1, 7, 0, 0))
            await summed(house, other, (1, 0, 0, 2), writer="other")
            page = await house.me.get(subscription_id=one)
            assert tiles(page)["Attempts, last hour"][0] == "7"
            assert "Due now" not in tiles(page)
            assert f"/dashboard?window=360&subscription_id={one}" in page.links
            stranger = await house.of("other")
            assert (await stranger.get(subscription_id=one)).status == 404
            assert tiles(await stranger.get()) == {}

    asyncio.run(main())


@pytest.mark.parametrize(("late", "kind"), [(30, ""), (61, " tile-warn"), (901, " tile-bad")])
def test_what_is_late_is_marked(databases: Databases, late: float, kind: str) -> None:
    async def main() -> None:
        async with visiting(databases) as house:
            await house.stage.subscribe()
            await house.stage.publish(2)
            house.stage.clock.now += late
            page = await house.me.get()
            assert f'<div class="tile{kind}"><div class="tile-name">Due now</div>' in page.html
            assert tiles(page)["Due now"][1].startswith("the oldest became due")

    asyncio.run(main())


def test_names_are_text_and_nothing_else(databases: Databases) -> None:
    async def main() -> None:
        async with visiting(databases) as house:
            subscription = await house.stage.subscribe()
            await house.stage.run("UPDATE subscriptions SET url = :u", u='https://x/"><script>alert(1)</script>')
            await summed(house, subscription, (1, 1, 0, 0))
            page = await house.me.get()
            assert "<script>alert" not in page.html
            assert "<script>alert(1)</script>" in page.text

    asyncio.run(main())


@contextlib.asynccontextmanager
async def watching(house: House) -> AsyncIterator[asyncio.Queue[dict[str, str]]]:
    """What the open page is told of its regions, as a browser is that asks for it."""
    told: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    left = asyncio.Event()
    cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in house.me.client.cookies.jar)
    headers = [(b"host", b"dashboard.test"), (b"cookie", cookies.encode()), (b"sec-fetch-site", b"same-origin")]
    scope = {
        "type": "http", "http_version": "1.1", "asgi": {"version": "3.0"}, "method": "GET", "scheme": "http",
        "path": "/dashboard", "raw_path": b"/dashboard", "root_path": "", "query_string": b"live=1",
        "headers": headers, "client": ("192.0.2.7", 1), "server": ("dashboard.test", 80),
    }  # fmt: skip

    async def receive() -> dict[str, Any]:
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        for line in message.get("body", b"").split(b"\n"):
            if line.startswith(b"data: "):
                told.put_nowait(json.loads(line.removeprefix(b"data: ")))

    stream = asyncio.create_task(house.dashboard(scope, receive, send))
    try:
        yield told
    finally:
        left.set()
        await stream


def test_it_changes_while_it_is_open(databases: Databases) -> None:
    """By what a real engine did, and no more of it than has changed."""

    async def main() -> None:
        answers = {"1": Respond(500)}

        def choose(request: Request) -> Respond:
            return answers.get(request.header("X-Kirim-Attempt") or "", Respond())

        async with Endpoint(choose=choose) as endpoint, visiting(databases) as house, asyncio.timeout(60):
            stage = house.stage
            await stage.subscribe()
            await stage.run("UPDATE subscriptions SET url = :u", u=endpoint.url)
            async with watching(house) as told:
                assert sorted(await told.get()) == ["busiest", "figures", "waiting"]
                await stage.publish(3)
                await attempt(stage, endpoint)
                while "3 failed" not in (seen := await told.get()).get("waiting", ""):
                    pass
                assert endpoint.url in seen["busiest"]
                assert "<svg" in seen["figures"]
                stage.clock.now += 20
                await attempt(stage, endpoint)
                while "50.00\u00a0%" not in (await told.get()).get("waiting", ""):
                    pass
            assert await stage.ids("succeeded") == await stage.ids()

    asyncio.run(main())


async def attempt(stage: Stage, endpoint: Endpoint) -> None:
    """All that is due, by an engine that stops then."""
    settings = settings_for(endpoint.ca)
    async with Transport(settings, clock=stage.clock) as transport:
        engine = Engine(stage.database, stage.sender.context.sealer, transport, settings, clock=stage.clock)
        engine.start()
        await engine.idle()
        await engine.stop()
