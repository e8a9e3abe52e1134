"""A page with every macro on it, as a site of its own: to look at, and to try the machinery on."""

from __future__ import annotations

import asyncio
import queue
import time
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from kirimhook.pages.answers import Guarded, see_other
from kirimhook.pages.charts import bars, lines
from kirimhook.pages.live import Live
from kirimhook.pages.site import NavItem, Site

PREFIX = "/gallery"
NAV = (NavItem("Gallery", PREFIX, "gallery"), NavItem("Other", f"{PREFIX}/other", "other"))
STATUSES = ("pending", "retrying", "succeeded", "dead", "parked", "paused", "in hand", "enabled", "disabled", "unknown")


def site(clock: Callable[[], float] = time.time) -> Site:
    """Its templates are those beside this file."""
    return Site("tests.pages", prefix=PREFIX, name="kirimhook gallery", nav=NAV, clock=clock)


def values(text: str = "Text in a page.", now: float | None = None) -> dict[str, Any]:
    """What the template wants; `text` goes wherever a macro takes words."""
    now = time.time() if now is None else now
    minutes = [f"12:{minute:02}" for minute in range(60)]
    return {
        "text": text,
        "created": now - 4000,
        "long": "POST /hooks HTTP/1.1\ncontent-type: application/json\n\n" + '{"a": "' + "x" * 300 + text + '"}',
        "statuses": STATUSES,
        "bars": bars(
            "Deliveries per minute",
            minutes,
            {
                "succeeded": [30 + (minute * 7) % 11 for minute in range(60)],
                "failed": [minute % 5 if 20 < minute < 40 else 0 for minute in range(60)],
                "dead": [2 if minute in {33, 34} else 0 for minute in range(60)],
            },
            unit="deliveries",
        ),
        "lines": lines(
            "Publish to delivered",
            minutes,
            {
                "p50": [12 + minute % 7 if minute % 13 else None for minute in range(60)],
                "p99": [40 + (minute * 17) % 60 if minute % 13 else None for minute in range(60)],
            },
            unit="ms",
        ),
        "rows": [row(at, text, now) for at in range(6)],
    }


def row(at: int, text: str, now: float) -> dict[str, Any]:
    return {
        "id": f"dlv_{at:026}",
        "status": STATUSES[at % 4],
        "type": "order.paid",
        "attempts": at,
        "answer": f"503 {text}",
        "next": now + 70 * at if at % 2 else None,
        "created": now - 50 * at * at,
    }


class Gallery:
    """The application, and what its pages show: `shown` may be changed while they are looked at."""

    def __init__(self, live: Live | None = None) -> None:
        self.live = live or Live()
        self.site = site()
        self.shown = values()
        self.loads = 0
        self.before: Callable[[], Awaitable[None]] | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self.posted: queue.Queue[str] = queue.Queue()
        routes = [
            self.site.static(),
            Route(PREFIX, self._page),
            Route(f"{PREFIX}/{{name}}", self._post, methods=["POST"]),
        ]
        self.app = Guarded(Starlette(routes=routes))

    async def _page(self, request: Request) -> Response:
        request.state.csrf = "token"
        request.state.who = "acme (key a1b2…z9)"
        return await self.site.show(request, "gallery.html", self._load, regions=("rows",), live=self.live)

    async def _load(self) -> dict[str, Any]:
        self.loads += 1
        self.loop = asyncio.get_running_loop()
        if self.before is not None:
            await self.before()
        return self.shown

    async def _post(self, request: Request) -> Response:
        self.posted.put(request.path_params["name"])
        return see_other(PREFIX)

    def wait_for_loads(self, count: int) -> None:
        """From another thread, until that many looks were begun."""
        _wait(lambda: self.loads >= count)

    def wait_for_streams(self, count: int) -> None:
        """From another thread, until that many streams are open."""
        _wait(lambda: self.live.streams == count)


def _wait(until: Callable[[], bool]) -> None:
    for _ in range(2000):
        if until():
            return
        time.sleep(0.01)
    raise AssertionError("it never came to that")
