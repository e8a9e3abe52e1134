"""What goes wrong with a page is said on a page, with whose fault it is: limits, a database that is away, a defect of
ours, a form that is none. A page that is open ends with the session it was opened in.
"""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest
from starlette.responses import Response

from kirimhook.contract.errors import ApiError
from kirimhook.observe import Observer
from kirimhook.pages.answers import HEADERS
from kirimhook.pages.site import Site
from kirimhook.sender.dashboard import app as dashboard_app
from kirimhook.sender.dashboard.errors import Faults
from kirimhook.sender.dashboard.place import NAV
from kirimhook.sender.dashboard.routes import ROUTES, Route
from kirimhook.sender.dashboard.shares import MOST
from kirimhook.sender.dashboard.visit import Visit
from kirimhook.sender.service import StorageUnavailable
from tests.sender.dashboard.visiting import PREFIX, Page, Visitor, events, visiting
from tests.sender.databases import Databases

FORM = "application/x-www-form-urlencoded"


def test_pages_are_limited_as_calls_are_and_each_organisation_by_itself(databases: Databases) -> None:
    async def main() -> None:
        async with visiting(databases, reads_per_minute=4, writes_per_minute=2) as house:
            other = await house.of("other")
            # signing in has read a page of each
            assert [(await house.me.get("/account")).status for _ in range(4)] == [200, 200, 200, 429]
            refused = await house.me.get("/account")
            assert 1 <= int(refused.headers["retry-after"]) <= 60
            assert "rate_limit_exceeded" in refused.text
            assert [(await house.me.post("/sign-out", {"csrf": ""})).status for _ in range(3)] == [403, 403, 429]
            assert (await other.get("/account")).status == 200
            house.stage.clock.advance(int(refused.headers["retry-after"]))
            assert (await house.me.get("/account")).status == 200

    asyncio.run(main())


def test_a_database_that_is_away_is_503_and_logged(databases: Databases, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> list[Page]:
        async with visiting(databases) as house:
            stranger = house.visitor()
            form = (await stranger.get("/sign-in")).form(f"{PREFIX}/sign-in")
            await house.stage.database.close()
            return [
                await house.me.get("/account"),
                await house.me.post("/sign-out"),
                await stranger.post("/sign-in", {**form, "key": "kdv_live_" + "x" * 24}),
            ]

    with caplog.at_level(logging.WARNING, "kirimhook"):
        pages = asyncio.run(main())
    for page in pages:
        assert page.status == 503
        assert int(page.headers["retry-after"]) >= 1
        assert "Nothing was changed" in page.text
    assert len(events(caplog, "request_unserved")) == len(pages)
    assert not any(record.exc_info for record in caplog.records)


def test_what_ended_a_live_page_is_logged_unless_the_page_says_it(caplog: pytest.LogCaptureFixture) -> None:
    site = Site("kirimhook.sender.dashboard", prefix=PREFIX, name="kirimhook", nav=NAV)
    faults = Faults(site, Observer(logging.getLogger("kirimhook")))
    with caplog.at_level(logging.INFO, "kirimhook"):
        faults.of_stream(ApiError("resource_not_found", "it was purged"))
        faults.of_stream(StorageUnavailable("closed", "it is away"))
        faults.of_stream(ZeroDivisionError())
    assert events(caplog, "request_unserved")[0]["reason"] == "closed"
    assert len(caplog.records) == len([*events(caplog, "request_unserved"), *events(caplog, "request_failed")]) == 2


def test_the_way_in_needs_no_database(databases: Databases) -> None:
    async def main() -> None:
        async with visiting(databases) as house:
            await house.stage.database.close()
            page = await house.visitor().get("/sign-in")
            assert (page.status, page.actions) == (200, [f"{PREFIX}/sign-in"])

    asyncio.run(main())


class DefectError(Exception):
    """Of a page."""


async def broken(visit: Visit) -> Response:
    raise DefectError(f"a secret of {visit.organisation}")


def test_a_defect_of_ours_is_500_and_in_the_log_alone(
    databases: Databases, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dashboard_app, "ROUTES", (*ROUTES, Route("GET", "/broken", broken)))

    async def main() -> Page:
        async with visiting(databases) as house:
            page = await house.me.get("/broken")
            assert house.meter.counter("kirimhook_sender_pages_total")["500"] == 1
            return page

    with caplog.at_level(logging.WARNING, "kirimhook"):
        page = asyncio.run(main())
    assert page.status == 500
    assert "DefectError" not in page.html
    assert "a secret of" not in page.html
    assert {name.decode() for name in HEADERS} <= set(page.headers)
    [line] = [record for record in caplog.records if record.exc_info]
    [event] = events(caplog, "request_failed")
    assert line.exc_info is not None
    assert line.exc_info[0] is DefectError
    assert event["path"] == f"{PREFIX}/broken"
    assert event["request_id"] == page.headers["x-request-id"]
    assert event["request_id"] in page.text


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("application/json", b"{}", 415),
        ("multipart/form-data; boundary=x", b"--x--", 415),
        ("text/plain", b"csrf=", 415),
        ("", b"csrf=", 415),
        (FORM, b"csrf=%FF", 400),
        (FORM, b"csrf=%00", 400),
        (FORM, b"csrf=" + b"x" * 70_000, 413),
    ],
)
def test_what_is_no_form_is_refused(databases: Databases, kind: str, body: bytes, status: int) -> None:
    async def main() -> None:
        async with visiting(databases) as house:
            for visitor, path in ((house.me, "/sign-out"), (house.visitor(), "/sign-in")):
                answer = await visitor.client.post(PREFIX + path, content=body, headers={"content-type": kind})
                assert answer.status_code == status
            assert (await house.me.get("/account")).status == 200

    asyncio.run(main())


def test_what_was_answered_is_counted(databases: Databases) -> None:
    async def main() -> None:
        async with visiting(databases) as house:
            counted = house.meter.counter("kirimhook_sender_pages_total")
            before = dict(counted)
            for path in ("/account", "/nothing", "/sign-in"):
                await house.visitor().get(path)
            assert {status: counted[status] - before.get(status, 0) for status in ("200", "303", "404")} == {
                "200": 1,
                "303": 1,
                "404": 1,
            }
            assert house.meter.histogram("kirimhook_sender_page_seconds").total > 0

    asyncio.run(main())


class Stream:
    """A live page that is open: what it was told, until it ends."""

    def __init__(self, visitor: Visitor, path: str) -> None:
        request = visitor.client.build_request("GET", f"{PREFIX}{path}?live=1")
        self._dashboard = visitor.dashboard
        self._scope = {
            "type": "http",
            "method": "GET",
            "path": f"{PREFIX}{path}",
            "query_string": b"live=1",
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
            "client": ("192.0.2.7", 1),
            "server": ("dashboard.test", 80),
            "scheme": "http",
            "root_path": "",
        }
        self.status = 0
        self.told: list[dict[str, str]] = []
        self.begun, self.left = asyncio.Event(), asyncio.Event()

    async def run(self) -> None:
        """Until the dashboard ends it."""
        await self._dashboard(self._scope, self._receive, self._send)

    async def _receive(self) -> Any:
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        self.status = message.get("status", self.status)
        for line in message.get("body", b"").splitlines():
            if line.startswith(b"data: "):
                self.told.append(json.loads(line[6:]))
                self.begun.set()


LIVE = next(route.path for route in ROUTES if route.live and "{" not in route.path)


@pytest.mark.parametrize("how", ["signed out", "key revoked", "expired"])
def test_a_page_that_is_open_is_told_nothing_more_once_the_session_has_ended(databases: Databases, how: str) -> None:
    async def main() -> None:
        async with visiting(databases, session_seconds=600.0) as house:
            sender, clock = house.stage.sender, house.stage.clock
            stream = Stream(house.me, LIVE)
            async with asyncio.timeout(10), asyncio.TaskGroup() as group:
                running = group.create_task(stream.run())
                await stream.begun.wait()
                if how == "signed out":
                    await house.me.sign_out()
                elif how == "key revoked":
                    for key in await sender.list_keys("acme"):
                        await sender.revoke_key("acme", key.id)
                else:
                    clock.advance(600)
                await running
            assert stream.status == 200
            told = len(stream.told)
            await house.stage.subscribe()
            assert len(stream.told) == told
            again = Stream(house.me, LIVE)
            await again.run()
            assert again.status == 401

    asyncio.run(main())


def test_closing_ends_what_is_open_at_once_and_begins_nothing(databases: Databases) -> None:
    async def main() -> None:
        async with visiting(databases) as house:
            stream = Stream(house.me, LIVE)
            async with asyncio.timeout(10), asyncio.TaskGroup() as group:
                running = group.create_task(stream.run())
                await stream.begun.wait()
                began = asyncio.get_running_loop().time()
                house.dashboard.close()
                await running
                assert asyncio.get_running_loop().time() - began < 0.5
            assert (await house.me.get(LIVE)).status == 200  # a page can still be read
            assert (await house.me.get(LIVE, live="1")).status == 503

    asyncio.run(main())


def test_an_organisation_leaves_live_pages_to_the_others(databases: Databases) -> None:
    async def main() -> None:
        async with visiting(databases) as house:
            other = await house.of("other")
            streams = [Stream(house.me, LIVE) for _ in range(MOST)]
            async with asyncio.timeout(30), asyncio.TaskGroup() as group:
                running = [group.create_task(stream.run()) for stream in streams]
                for stream in streams:
                    await stream.begun.wait()
                refused = await house.me.get(LIVE, live="1")
                assert (refused.status, refused.headers["retry-after"]) == (503, "30")
                assert (await house.me.get(LIVE)).status == 200
                theirs, again = Stream(other, LIVE), Stream(house.me, LIVE)
                group.create_task(theirs.run())
                await theirs.begun.wait()
                streams[0].left.set()  # who leaves makes room
                await running[0]
                group.create_task(again.run())
                await again.begun.wait()
                for stream in (*streams, theirs, again):
                    stream.left.set()

    asyncio.run(main())
