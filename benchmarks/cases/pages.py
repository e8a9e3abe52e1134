"""(i) Every page of the dashboard, and of an inbox, with few rows behind it and with many."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from benchmarks.inboxes import prefill
from benchmarks.inboxes.storages import Place
from benchmarks.looking.visitor import Visitor
from benchmarks.measure import Bench, Measurement
from benchmarks.processes import Measured, free_port, running
from benchmarks.sending.stock import Stock, event_type
from kirimhook.sender.sealing import ENVIRONMENT_VARIABLE

Run = Callable[[Bench], dict[str, Measurement]]
SIZES = ("few", "many")
DASHBOARD = "/dashboard"
INBOX = "/inbox"
SENDERS_PAGES = (
    "overview",
    "subscriptions",
    "subscription",
    "deliveries",
    "older",
    "dead",
    "of_subscription",
    "of_type",
    "of_event",
    "of_hour",
    "unreplayed",
    "none_found",
    "delivery",
    "event",
    "replay",
    "replays",
)
INBOX_PAGES = ("overview", "stuck", "parked", "older", "of_type", "of_event", "of_hour", "event", "put_back")
PARKED = 100
SECRETS = "KIRIM_WEBHOOK_SECRETS"


def dashboard(dialect: str) -> Run:
    def run(bench: Bench) -> dict[str, Measurement]:
        found: dict[str, Measurement] = {}
        urls = [f"https://endpoint{number}.example/webhooks" for number in range(bench.scale.endpoints)]
        for size in SIZES:
            stock = bench.databases.looked_at(dialect, size, getattr(bench.scale, size), urls)
            with _sender(bench, stock) as (process, visitor):
                visitor.sign_in(f"{DASHBOARD}/sign-in", stock.key)
                pages = _senders_pages(stock, visitor)
                measured = visitor.measure(process, pages, bench.scale.looks)
            found |= {f"pages.{dialect}.{size}.{name}": measured[name] for name in SENDERS_PAGES}
        return found

    return run


@contextlib.contextmanager
def _sender(bench: Bench, stock: Stock) -> Iterator[tuple[Measured, Visitor]]:
    port = free_port()
    words = ["-m", "kirimhook", "sender", f"--database={stock.url}", f"--port={port}", "--no-admin", "--drain=0"]
    words += ["--set=reads_per_minute=0"]
    environment = {ENVIRONMENT_VARIABLE: stock.master_key}
    with running(words, bench.folder, environment, name="sender") as process:
        process.wait_for_port(port)
        with Visitor(f"http://127.0.0.1:{port}") as visitor:
            yield process, visitor


def _senders_pages(stock: Stock, visitor: Visitor) -> dict[str, str]:
    deliveries, dead = f"{DASHBOARD}/deliveries", stock.dead[len(stock.dead) // 2]
    event = "evt_" + dead.removeprefix("wbd_")
    hour = _an_hour_ago()
    return {
        "overview": DASHBOARD,
        "subscriptions": f"{DASHBOARD}/subscriptions",
        "subscription": f"{DASHBOARD}/subscriptions/{stock.subscriptions[0]}",
        "deliveries": deliveries,
        "older": visitor.next_of(deliveries),
        "dead": f"{deliveries}?status=dead",
        "of_subscription": f"{deliveries}?subscription_id={stock.subscriptions[0]}&status=dead",
        "of_type": f"{deliveries}?event_type={event_type(0)}",
        "of_event": f"{deliveries}?event_id={event}",
        "of_hour": f"{deliveries}?created_after={hour}",
        "unreplayed": f"{deliveries}?status=dead&unreplayed=true&created_after={hour}",
        "none_found": f"{deliveries}?kind=test",
        "delivery": f"{deliveries}/{dead}",
        "event": f"{deliveries}/{dead}/event",
        "replay": f"{DASHBOARD}/replays/new?status=dead",
        "replays": f"{DASHBOARD}/replays",
    }


def _an_hour_ago() -> str:
    return f"{datetime.now(UTC) - timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"


def inbox(storage: str) -> Run:
    def run(bench: Bench) -> dict[str, Measurement]:
        found: dict[str, Measurement] = {}
        for size in SIZES:
            opened = bench.inboxes.empty(storage) if size == "few" else bench.inboxes.past(storage)
            with opened as place:
                if size == "few":
                    prefill.adopt_finished(place.loading, "looked at", bench.scale.few)
                prefill.adopt_parked(place.loading, PARKED)
                with _receiver(bench, place) as (process, visitor):
                    measured = visitor.measure(process, _inbox_pages(visitor), bench.scale.looks)
            found |= {f"inbox.{storage}.{size}.{name}": measured[name] for name in INBOX_PAGES}
        return found

    return run


@contextlib.contextmanager
def _receiver(bench: Bench, place: Place) -> Iterator[tuple[Measured, Visitor]]:
    port = free_port()
    words = ["-m", "kirimhook", "serve", "benchmarks.hooks:hooks", "--port=0", f"--admin-port={port}", "--no-worker"]
    words += [f"--inbox={place.url}"]
    with running(words, bench.folder, {SECRETS: bench.secret.reveal()}, name="receiver") as process:
        process.wait_for_port(port)
        with Visitor(f"http://127.0.0.1:{port}") as visitor:
            yield process, visitor


def _inbox_pages(visitor: Visitor) -> dict[str, str]:
    events = f"{INBOX}/events"
    every = f"{events}?state=done"
    parked = visitor.read(f"{events}?state=parked")
    number = parked.partition(f'href="{events}/')[2].partition('"')[0]
    named = quote(prefill.parked_id(0), safe="")
    return {
        "overview": INBOX,
        "stuck": events,
        "parked": f"{events}?state=parked",
        "older": visitor.next_of(every),
        "of_type": f"{events}?type=contact.*",
        "of_event": f"{events}?event_id={named}",
        "of_hour": f"{events}?received_after={_an_hour_ago()}",
        "event": f"{events}/{number}",
        "put_back": f"{INBOX}/put-back/new?state=parked",
    }
