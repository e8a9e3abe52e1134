"""The receiver's pages in this process over a real inbox, and browsers without a screen that visit them.

    async with visiting(inbox_url) as house:
        await house.put(inbound(kind="contact.created"))      # tests.receiver.working.inbound
        page = await house.me.get("/events")                  # Page: status, text, links, form(action), tags, html
        answer = await house.me.post("/pause")                # with the token of these pages
        assert answer.place == "/inbox"

With `hooks` a worker runs over the inbox. `house.receive(delivery)` takes in a signed one (tests.receiver.deliveries).
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any
from urllib.parse import urlencode

import httpx

from kirimhook.backends import open_inbox
from kirimhook.observe import Meter
from kirimhook.receiver.admin.report import Fleet, Totals
from kirimhook.receiver.admin.reporter import Reporter, StorageWatch
from kirimhook.receiver.endpoint import Answer, Receiver
from kirimhook.receiver.hooks import Hooks
from kirimhook.receiver.inbox import Inbox
from kirimhook.receiver.model import InboundEvent
from kirimhook.receiver.pages.access import Door
from kirimhook.receiver.pages.app import Pages
from kirimhook.receiver.pages.handle import Borrowed, Handle
from kirimhook.receiver.pages.rates import Rates
from kirimhook.receiver.secrets import Keyring
from kirimhook.receiver.worker import Worker
from tests.receiver.deliveries import SECRET, Delivery
from tests.receiver.working import Log
from tests.sender.dashboard.visiting import Fields, Page, Site

PREFIX = "/inbox"
ORIGIN = "http://127.0.0.1:9090"


class Visitor:
    """A browser: keeps cookies, says where its requests come from, follows nothing by itself. Paths under /inbox."""

    def __init__(self, pages: Any, origin: str = ORIGIN, address: str = "127.0.0.1") -> None:
        transport = httpx.ASGITransport(pages, client=(address, 40_000))
        self.client = httpx.AsyncClient(transport=transport, base_url=origin, follow_redirects=False)

    async def get(
        self, path: str = "", query: Mapping[str, Any] | None = None, *, headers: Mapping[str, str] | None = None
    ) -> Page:
        """Values of `query` may be lists."""
        url = PREFIX + path + (f"?{urlencode(query, doseq=True)}" if query else "")
        return Page(await self.client.get(url, headers={"sec-fetch-site": "none", **(headers or {})}))

    async def csrf(self) -> str:
        """As it stands on the first page that has a form."""
        page = await self.get()
        return str(page.form(next(action for action in page.actions if action.startswith(PREFIX)))["csrf"])

    async def post(
        self,
        path: str,
        fields: Fields | None = None,
        *,
        site: Site | None = "same-origin",
        token: bool = True,
        headers: Mapping[str, str] | None = None,
    ) -> Page:
        """A form. With the token of these pages, unless `fields` have one or `token` says no."""
        given: dict[str, Any] = dict(fields or {})
        if token and "csrf" not in given:
            given["csrf"] = await self.csrf()
        sent = {"content-type": "application/x-www-form-urlencoded"} | (
            {} if site is None else {"sec-fetch-site": site}
        )
        return Page(
            await self.client.post(
                PREFIX + path, content=urlencode(given, doseq=True), headers=sent | dict(headers or {})
            )
        )

    async def sign_in(self, token: str) -> Page:
        """Through the form, as a person would."""
        page = await self.get("/sign-in")
        return await self.post("/sign-in", {**page.form(f"{PREFIX}/sign-in"), "token": token})


class House:
    """Pages, the inbox that they show, and `me`: a visitor on the same machine."""

    def __init__(
        self, inbox: Inbox, receiver: Receiver, meter: Meter, log: Log, make: Callable[[House], Pages]
    ) -> None:
        self.inbox = inbox
        self.receiver = receiver
        self.meter = meter
        self.log = log
        self.reporter: Reporter | None = None
        self.rates = Rates(self.fleet)
        self.pages = make(self)
        self.me = self.visitor()

    def visitor(self, **options: Any) -> Visitor:
        return Visitor(self.pages, **options)

    async def fleet(self) -> Fleet:
        assert self.reporter is not None
        report = await self.reporter.report()
        return Fleet(report.started_at, time.time(), 1, (report,), Totals())

    async def put(self, *events: InboundEvent) -> None:
        await self.inbox.put(events)

    async def receive(self, delivery: Delivery) -> Answer:
        return await self.receiver.receive(delivery.method, delivery.headers, delivery.body)


@contextlib.asynccontextmanager
async def visiting(
    url: str,
    *,
    hooks: Hooks | None = None,
    host: str = "127.0.0.1",
    token: str | None = None,
    allowed: tuple[str, ...] = (),
    handle: Handle | None = None,
    clock: Callable[[], float] = time.time,
) -> AsyncIterator[House]:
    """Pages over the inbox at this URL. `handle`: what they look through, in place of that inbox itself."""
    inbox, meter, log = open_inbox(url), Meter(), Log()
    await inbox.open()
    watch = StorageWatch(meter, log.observer._logger)
    receiver = Receiver(inbox, Keyring.static(SECRET), meter=meter, observer=watch)
    await receiver.start(opened=True)
    worker = None if hooks is None else Worker(inbox, hooks, meter=meter, observer=watch)

    def make(house: House) -> Pages:
        door = Door(host, token, allowed, clock)
        through = handle or Borrowed(inbox)
        return Pages(fleet=house.fleet, handle=through, rates=house.rates, door=door, observer=watch, clock=clock)

    house = House(inbox, receiver, meter, log, make)
    house.reporter = Reporter(inbox, meter, watch, receiver=receiver, worker=worker)
    try:
        if worker is not None:
            worker.start()
        yield house
    finally:
        house.rates.stop()
        await house.pages.close()
        if worker is not None:
            await worker.stop()
        await receiver.stop()
        await inbox.close()
