"""The dashboard in this process over a real database, and browsers without a screen that visit it.

    async with visiting(databases) as house:
        page = await house.me.get("/subscriptions")        # 200, signed in as an organisation, acme
        form = page.form("/dashboard/subscriptions")       # what a browser would send, the hidden fields among it
        answer = await house.me.post("/subscriptions", {**form, "url": …})

`house.stage` is a `tests.sender.stage.Stage`: the database, the clock, deliveries and how they end.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping
from html.parser import HTMLParser
from typing import Any, Literal
from urllib.parse import urlencode

import httpx
import pytest

from kirimhook.observe import Meter, Observer
from kirimhook.sender.dashboard import Dashboard, create_dashboard
from tests.sender.databases import Databases
from tests.sender.stage import Stage, staged

PREFIX = "/dashboard"
ORIGIN = "http://dashboard.test"
VOID = frozenset(("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"))
Fields = Mapping[str, str | Iterable[str]]
Site = Literal["same-origin", "same-site", "cross-site", "none"]


class Page(HTMLParser):
    """An answer, and what is on it where it is HTML."""

    def __init__(self, answer: httpx.Response) -> None:
        super().__init__()
        self.answer = answer
        self.status = answer.status_code
        self.headers = answer.headers
        self.html = answer.text
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.links: list[str] = []
        self._words: list[str] = []
        self._forms: list[tuple[str, list[tuple[str, str]]]] = []
        self._silent = 0
        if answer.headers.get("content-type", "").startswith("text/html"):
            self.feed(self.html)

    @property
    def text(self) -> str:
        """The words that a reader sees, with single blanks between."""
        return " ".join(" ".join(self._words).split())

    @property
    def place(self) -> str:
        """Where a redirect leads."""
        return str(self.headers["location"])

    def form(self, action: str) -> dict[str, Any]:
        """The fields of the one form that goes there, as they stand: name to value, or to a list of several."""
        found = self.forms(action)
        assert len(found) == 1, (action, self.actions)
        return found[0]

    def forms(self, action: str) -> list[dict[str, Any]]:
        """The fields of every form that goes there."""
        return [_fields(pairs) for known, pairs in self._forms if known == action]

    @property
    def actions(self) -> list[str]:
        """Where its forms go."""
        return [action for action, _ in self._forms]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.tags.append((tag, given))
        if tag in ("script", "style"):
            self._silent += 1
        elif tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif tag == "form":
            self._forms.append((given.get("action", ""), []))
        elif tag == "input" and self._forms and "name" in given:
            ticked = given.get("type") not in ("checkbox", "radio") or "checked" in given
            if ticked:
                self._forms[-1][1].append((given["name"], given.get("value", "")))

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self._silent -= 1

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self._words.append(data)


class Visitor:
    """A browser: keeps cookies, says where its requests come from, follows nothing by itself.

    Paths are under /dashboard.
    """

    def __init__(self, dashboard: Dashboard, origin: str = ORIGIN, address: str = "192.0.2.7") -> None:
        self.dashboard = dashboard
        transport = httpx.ASGITransport(dashboard, client=(address, 40_000))
        self.client = httpx.AsyncClient(transport=transport, base_url=origin, follow_redirects=False)
        self.csrf = ""

    async def get(self, path: str = "", *, headers: Mapping[str, str] | None = None, **query: str) -> Page:
        """`query` goes behind the path."""
        url = PREFIX + path + (f"?{urlencode(query)}" if query else "")
        return Page(await self.client.get(url, headers={"sec-fetch-site": "none", **(headers or {})}))

    async def post(
        self, path: str, fields: Fields | None = None, *, site: Site | None = "same-origin", token: bool = True
    ) -> Page:
        """A form. With the token of the session, unless `fields` have one or `token` says no."""
        given: dict[str, Any] = {"csrf": self.csrf} if token else {}
        given |= fields or {}
        headers = {"content-type": "application/x-www-form-urlencoded"} | (
            {} if site is None else {"sec-fetch-site": site}
        )
        body = urlencode([(name, one) for name, value in given.items() for one in _listed(value)])
        return Page(await self.client.post(PREFIX + path, content=body, headers=headers))

    async def sign_in(self, key: str, wanted: str = "") -> Page:
        """Through the form, as a person would. The redirect that it ends with, or the page that says why not."""
        page = await self.get("/sign-in?" + urlencode({"next": wanted}))
        answer = await self.post("/sign-in", {**page.form(f"{PREFIX}/sign-in"), "key": key})
        if answer.status == 303:
            self.csrf = str((await self.get("/account")).form(f"{PREFIX}/sign-out")["csrf"])
        return answer

    async def sign_out(self) -> Page:
        return await self.post("/sign-out")


class House:
    """A dashboard, the stage that it is over, and `me`: a visitor signed in as the organisation acme."""

    def __init__(self, stage: Stage, dashboard: Dashboard, meter: Meter) -> None:
        self.stage = stage
        self.dashboard = dashboard
        self.meter = meter
        self.me = self.visitor()

    def visitor(self, **options: Any) -> Visitor:
        """Somebody who is not signed in."""
        return Visitor(self.dashboard, **options)

    async def of(self, organisation: str) -> Visitor:
        """Somebody signed in as this organisation, which is made where there is none of that name."""
        visitor = self.visitor()
        answer = await visitor.sign_in(await self.key(organisation))
        assert answer.status == 303, answer.text
        return visitor

    async def key(self, organisation: str) -> str:
        """A fresh API key."""
        return (await self.stage.sender.create_organisation_key(organisation)).key.reveal()


@contextlib.asynccontextmanager
async def visiting(databases: Databases, **settings: Any) -> AsyncIterator[House]:
    """A dashboard over an empty database, with one organisation, `acme`."""
    async with staged(databases, **settings) as stage:
        meter = Meter()
        dashboard = create_dashboard(
            stage.sender, stage.settings, observer=Observer(), meter=meter, clock=stage.clock, secure=False
        )
        house = House(stage, dashboard, meter)
        house.me = await house.of("acme")
        try:
            yield house
        finally:
            dashboard.close()


def events(caplog: pytest.LogCaptureFixture, name: str) -> list[dict[str, Any]]:
    """The fields of all log events of this name, in order."""
    found: list[dict[str, Any]] = [getattr(record, "kirimhook", {}) for record in caplog.records]
    return [event for event in found if event.get("event") == name]


def _fields(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, value in pairs:
        fields[name] = [*_listed(fields[name]), value] if name in fields else value
    return fields


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)
