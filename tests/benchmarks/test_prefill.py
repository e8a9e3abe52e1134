"""Prefilled databases hold what publishing and delivering leave, and one delivery that is missing is found out."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.files import InvalidRunError
from benchmarks.scale import Scale
from benchmarks.sending import prefill
from benchmarks.sending.posts import body
from benchmarks.sending.prefill import State
from benchmarks.sending.stock import DIALECTS, Databases, Stock, event_type
from kirimhook.contract.events import KIRIM
from kirimhook.contract.resources import Timing
from kirimhook.sender.database import Database
from kirimhook.sender.engine import Engine
from kirimhook.sender.model import NewEvent
from kirimhook.sender.sealing import Sealer
from kirimhook.sender.service import Sender
from kirimhook.sender.transport import Exchange
from kirimhook.settings import SenderSettings

COUNT = 6
ENDPOINTS = 2
URLS = [f"https://endpoint{number}.example/webhooks" for number in range(ENDPOINTS)]
SETTINGS = SenderSettings(catalogue=tuple(event_type(number) for number in range(ENDPOINTS)))
TABLES = {
    "events": {"id", "dedupe_key", "event_id", "type", "created_at"},
    "deliveries": {
        "id", "event", "event_id", "event_type", "next_attempt_at", "last_attempt_at", "created_at", "finished_at",
    },
    "queue": {"delivery_id", "due_at"},
    "attempts": {"delivery_id", "record"},
}  # fmt: skip
"""What differs from one row to the next, whoever writes it: ids, types, times."""


@pytest.fixture(scope="module")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    made = Databases(tmp_path_factory.mktemp("prefill"), Scale(), lambda _: None, quick=True)
    yield made
    made.close()


@pytest.fixture(params=DIALECTS)
def stock(request: pytest.FixtureRequest, databases: Databases) -> Stock:
    return databases.empty(request.param, URLS)


class Answers200:
    async def post(self, *_: Any) -> Exchange:
        timing = Timing(None, None, None, None)
        return Exchange(time.time(), 1.0, timing, "192.0.2.1", 200, None, {}, b"ok", None)


async def publish(database: Database, stock: Stock) -> None:
    sender = Sender(database, SETTINGS, Sealer([stock.master_key]))
    for number in range(COUNT):
        event = NewEvent(KIRIM, f"evt_{number:026}", event_type(number % ENDPOINTS), body())
        await sender.publish(stock.organisation, [event])


async def deliver(database: Database, stock: Stock) -> None:
    engine = Engine(database, Sealer([stock.master_key]), Answers200(), SETTINGS, clock=time.time, draw=random.random)
    running = asyncio.create_task(engine.run())
    await engine.idle()
    engine.drain()
    await running


def rows(stock: Stock) -> dict[str, list[tuple[Any, ...]]]:
    """Every table; of what differs from row to row only whether it is there."""
    found = {}
    for table, varying in TABLES.items():
        names = [name for (name,) in stock.rows(f"SELECT name FROM ({COLUMNS[stock.url[:6]]}) AS c", table=table)]
        shown = [f"{name} IS NULL" if name in varying else name for name in names]
        kept = stock.rows(f"SELECT {', '.join(shown)} FROM {table}")
        found[table] = sorted(kept, key=repr)
    return found


COLUMNS = {
    "sqlite": "SELECT name FROM pragma_table_info(:table)",
    "postgr": "SELECT column_name AS name FROM information_schema.columns WHERE table_name = :table",
}


def test_what_is_due_is_as_if_published(stock: Stock, databases: Databases) -> None:
    stock.add(COUNT, State.DUE, range(ENDPOINTS))
    prefilled = rows(stock)
    published = databases.empty(stock.url.partition(":")[0], URLS)
    published.use(lambda database: publish(database, published))
    assert masked(prefilled, stock) == masked(rows(published), published)
    assert len(prefilled["queue"]) == COUNT


def test_what_is_finished_is_as_if_delivered(stock: Stock, databases: Databases) -> None:
    stock.add(COUNT, State.FINISHED, range(ENDPOINTS))
    prefilled = rows(stock)
    delivered = databases.empty(stock.url.partition(":")[0], URLS)
    delivered.use(lambda database: publish(database, delivered))
    delivered.use(lambda database: deliver(database, delivered))
    assert masked(prefilled, stock) == masked(rows(delivered), delivered)
    assert prefilled["queue"] == []
    assert len(prefilled["attempts"]) == COUNT
    [(least, most)] = delivered.rows("SELECT min(length(record)), max(length(record)) FROM attempts")
    assert least * 0.8 < len(prefill.RECORD) < most * 1.25


def masked(found: dict[str, list[tuple[Any, ...]]], stock: Stock) -> dict[str, list[tuple[Any, ...]]]:
    """The ids of organisation and subscriptions by their place."""
    places: dict[Any, str] = {name: f"endpoint {place}" for place, name in enumerate(stock.subscriptions)}
    places[stock.organisation] = "organisation"
    return {
        table: sorted((tuple(places.get(value, value) for value in row) for row in some), key=repr)
        for table, some in found.items()
    }


def test_a_delivery_that_is_not_recorded_makes_the_run_invalid(stock: Stock) -> None:
    finished = stock.add(COUNT, State.FINISHED, range(ENDPOINTS))
    stock.expect_succeeded(finished)
    due = stock.add(1, State.DUE, range(ENDPOINTS))
    with pytest.raises(InvalidRunError):
        stock.expect_succeeded([*finished, *due])
    with pytest.raises(InvalidRunError):
        stock.expect_succeeded(due)


def test_a_stock_points_to_where_it_is_told(stock: Stock, tmp_path: Path) -> None:
    moved = [f"https://moved{number}.example/" for number in range(ENDPOINTS)]
    stock.point(moved)
    assert stock.rows("SELECT url FROM subscriptions ORDER BY url") == [(url,) for url in moved]
