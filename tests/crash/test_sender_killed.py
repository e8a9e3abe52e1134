"""G6: whatever is killed, every event that was accepted arrives, and the ledger balances.

Two API processes and three engines share one PostgreSQL. For 20 seconds under load (or KIRIMHOOK_CHAOS_SECONDS) one
after the other is killed with SIGKILL, at random, and replaced; publishers repeat what was not answered, the
endpoint answers now and then with 503. In the end the ledger balances, every event arrived and was answered with
200 at least once, and whatever arrived twice was an attempt on its way while an engine was killed.
KIRIMHOOK_CHAOS_SEED takes the seed that a run printed.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp

from kirimhook.contract import samples
from kirimhook.testing.endpoint import Answer, Authority, Endpoint, Request, Respond
from kirimhook.testing.postgres import postgres_server
from tests.crash.fleet import Fleet
from tests.crash.processes import Processes
from tests.crash.waiting import SOON

SECONDS = float(os.environ.get("KIRIMHOOK_CHAOS_SECONDS", "20"))
SEED = os.environ.get("KIRIMHOOK_CHAOS_SEED", "")
PUBLISHERS = 3
BATCH = 10
FAILING = 0.05
"""Of the endpoint's answers."""
BETWEEN_KILLS = 0.7
ATTEMPT = 10.0
"""Seconds that an attempt may be on its way."""
UNREAD = 2.0
"""Seconds that what an engine sent before it was killed may wait until the endpoint reads it, on a busy machine."""
TYPE = "contact.created"


class Arrival(NamedTuple):
    at: float
    event: str
    delivery: str
    attempt: int
    status: int


@dataclass(slots=True)
class Arrivals:
    """What came to the endpoint, and what it answered."""

    draw: random.Random
    all: list[Arrival] = field(default_factory=list)

    def answer(self, request: Request) -> Answer:
        status = 503 if self.draw.random() < FAILING else 200
        named = (request.header("X-Kirim-Event-Id") or "", request.header("X-Kirim-Delivery-Id") or "")
        number = int(request.header("X-Kirim-Attempt") or 0)
        self.all.append(Arrival(time.time(), *named, number, status))
        return Respond(status)

    def accepted(self) -> set[str]:
        """Events that were answered with 200."""
        return {arrival.event for arrival in self.all if arrival.status == 200}

    def repeated(self) -> list[list[Arrival]]:
        """Attempts that arrived more than once: the arrivals of each, in order."""
        attempts: dict[tuple[str, int], list[Arrival]] = defaultdict(list)
        for arrival in self.all:
            attempts[arrival.delivery, arrival.attempt].append(arrival)
        return [arrivals for arrivals in attempts.values() if len(arrivals) > 1]

    def beyond_success(self) -> list[Arrival]:
        """Attempts after one whose last arrival was answered with 200 (an earlier one died with its engine)."""
        last = {(arrival.delivery, arrival.attempt): arrival for arrival in self.all}
        done = {arrival.delivery: arrival.attempt for arrival in last.values() if arrival.status == 200}
        return [arrival for arrival in self.all if arrival.attempt > done.get(arrival.delivery, 99)]


class Publisher:
    """Publishes batches, each until it was answered, to whichever API process is there."""

    def __init__(self, session: aiohttp.ClientSession, urls: Callable[[], list[str]], name: str) -> None:
        self.accepted: set[str] = set()
        self.repeated = 0
        self._session = session
        self._urls = urls
        self._name = name
        self._data = json.loads(samples.load(TYPE).body)["data"]

    async def until(self, enough: asyncio.Event) -> None:
        serial = 0
        while not enough.is_set():
            ids = [f"{self._name}-{serial + number}" for number in range(BATCH)]
            events = [{"type": TYPE, "id": event, "data": self._data} for event in ids]
            turn = 0
            while not await self._publish(events, turn):
                turn += 1
                self.repeated += 1
                await asyncio.sleep(0.05)
            self.accepted.update(ids)
            serial += BATCH

    async def _publish(self, events: list[dict[str, Any]], turn: int) -> bool:
        urls = self._urls()
        try:
            async with self._session.post(f"{urls[turn % len(urls)]}/v1/events", json={"events": events}) as answer:
                assert answer.status in {202, 503}, await answer.text()
                return answer.status == 202
        except (aiohttp.ClientError, OSError):
            return False


async def _kill_for(seconds: float, fleet: Fleet, draw: random.Random) -> None:
    """Each of them in turn, in an order drawn anew every time; several can be on their way back at once."""
    end = time.monotonic() + seconds
    coming: dict[int, asyncio.Future[None]] = {}
    while time.monotonic() < end:
        for index in draw.sample(range(len(fleet.members)), len(fleet.members)):
            await asyncio.sleep(draw.uniform(0.5, 1.5) * BETWEEN_KILLS)
            if index in coming:
                await coming[index]
            coming[index] = asyncio.ensure_future(asyncio.to_thread(fleet.kill, index))
    await asyncio.gather(*coming.values())


async def _all_delivered(session: aiohttp.ClientSession, url: str) -> None:
    async def is_any(status: str) -> bool:
        """Through all pages: what no index knows is looked for in a part of the rows at a time."""
        parameters = {"limit": "1", "status": status}
        while True:
            async with session.get(f"{url}/v1/webhook_deliveries", params=parameters) as answer:
                page = await answer.json()
            if page["data"] or not page["has_more"]:
                return bool(page["data"])
            parameters["cursor"] = page["next_cursor"]

    async with asyncio.timeout(SOON + SECONDS):
        while await is_any("pending") or await is_any("failed"):  # noqa: ASYNC110  # other processes deliver
            await asyncio.sleep(0.2)


async def play(fleet: Fleet, key: str, authority: Authority, draw: random.Random) -> tuple[Arrivals, list[Publisher]]:
    arrivals = Arrivals(draw)
    headers = {"Authorization": f"Bearer {key}"}
    async with (
        Endpoint(choose=arrivals.answer, authority=authority) as endpoint,
        aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=SOON)) as session,
    ):
        asked = {"url": endpoint.url, "events": [TYPE]}
        async with session.post(f"{fleet.urls[0]}/v1/webhook_subscriptions", json=asked) as answer:
            assert answer.status == 201, await answer.text()
        publishers = [Publisher(session, lambda: fleet.urls, f"event-{number}") for number in range(PUBLISHERS)]
        enough = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            for publisher in publishers:
                tasks.create_task(publisher.until(enough))
            try:
                await _kill_for(SECONDS, fleet, draw)
            finally:
                enough.set()
        await _all_delivered(session, fleet.urls[0])
    return arrivals, publishers


def test_whatever_is_killed_every_event_arrives(
    processes: Processes, tmp_path: Path, say: Callable[[str], None]
) -> None:
    seed = int(SEED or random.randrange(2**32))
    say(f"seed {seed}")
    draw = random.Random(seed)
    (tmp_path / "endpoint").mkdir()
    authority = Authority(tmp_path / "endpoint")
    with postgres_server() as server:
        fleet = Fleet(processes, server.url())
        processes.command("migrate", "--database", fleet.database)
        key = processes.key(fleet.database)
        fleet.start("--ca-bundle", str(authority.ca))
        arrivals, publishers = asyncio.run(play(fleet, key, authority, draw))
        ledger = processes.ledger(fleet.database)
    published = set[str]().union(*(publisher.accepted for publisher in publishers))
    repeated = arrivals.repeated()
    say(
        f"{len(published)} events accepted, {sum(publisher.repeated for publisher in publishers)} batches published"
        f" again; {fleet.api_kills} API processes and {len(fleet.kills)} engines killed; {len(arrivals.all)} arrivals,"
        f" {sum(len(each) - 1 for each in repeated)} repeated, {len(published - arrivals.accepted())} lost"
    )
    say(f"ledger: {json.dumps(ledger)}")
    assert len(fleet.kills) > 0 < fleet.api_kills, "nobody was killed"
    assert published
    assert published - arrivals.accepted() == set()
    assert arrivals.beyond_success() == []
    for first, *others in repeated:
        for other in others:
            killed = [kill for kill in fleet.kills if -UNREAD <= kill - first.at < ATTEMPT and kill <= other.at]
            assert killed, (first, other, fleet.kills)
