"""The process that is measured: the bare loop, the engine over what is due, the bare loop again.

Its plan comes as JSON on the command line, its figures go to a file.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import uvloop
from sqlalchemy import Connection, text

from benchmarks.processes import cpu_of
from benchmarks.scale import Scale
from benchmarks.sending.posts import LOOPBACK, Rate, delivery_id, labels, post
from kirimhook.sender import sealing
from kirimhook.sender.database import Database, open_database
from kirimhook.sender.engine import Engine
from kirimhook.sender.transport import Transport
from kirimhook.serving.sending.delivering import tune
from kirimhook.settings import SenderSettings

LEAST_IN_FLIGHT = 32
"""Of the bare loop, as of the engine to one endpoint; to many endpoints one each."""
BEFORE, AFTER = "A", "Z"
"""Letters in the ids of what the bare loop posts: prefilled ones have digits."""
POLL = 0.02
STALLED = 20.0


@dataclass(frozen=True, slots=True)
class Plan:
    database: str
    server_pid: int
    """Of the database server; 0: none."""
    authority: str
    control: int
    """Port of the receiving process."""
    urls: list[str]
    posts: int
    posts_warm_up: int
    subscriptions: list[str]
    """Whose deliveries are waited for."""
    deliveries: int
    """Of them."""
    warm_up: int
    """Arrivals that are not counted."""
    output: str


@dataclass(frozen=True, slots=True)
class Figures:
    posts: int
    before: float
    after: float
    """Posts a second."""
    post_cpu_us: float
    ended: float
    """When the last delivery was seen recorded; the system's monotonic clock."""
    cpu_seconds: float
    database_cpu_seconds: float
    """Both since the end of the warm-up."""


class Control:
    """Asks the receiving process how much has arrived."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def arrived(self) -> int:
        self._writer.write(b'{"verb": "count"}\n')
        return int(json.loads(await self._reader.readline())["arrived"])

    async def wait_for(self, count: int) -> None:
        """Raises RuntimeError when nothing arrives any more."""
        seen, since = -1, time.monotonic()
        while (now := await self.arrived()) < count:
            if now > seen:
                seen, since = now, time.monotonic()
            if time.monotonic() - since > STALLED:
                raise RuntimeError(f"the engine stands still: {now} of {count} have arrived")
            await asyncio.sleep(POLL)


async def main(plan: Plan) -> Figures:
    control = Control(*await asyncio.open_connection("127.0.0.1", plan.control))
    before = await _bare(plan, BEFORE)
    ended, cpu, database_cpu = await _deliver(plan, control)
    after = await _bare(plan, AFTER)
    mean_cpu = (before.cpu_us + after.cpu_us) / 2
    return Figures(before.posts, before.per_second, after.per_second, mean_cpu, ended, cpu, database_cpu)


async def _bare(plan: Plan, label: str) -> Rate:
    in_flight = max(LEAST_IN_FLIGHT, len(plan.urls))
    return await post(
        plan.urls,
        label,
        count=plan.posts,
        warm_up=plan.posts_warm_up,
        in_flight=in_flight,
        authority=plan.authority,
    )


def posted_ids(scale: Scale) -> list[str]:
    """Of all that the bare loops post."""
    return [
        delivery_id(label, number)
        for when in (BEFORE, AFTER)
        for label, count in labels(when, scale.posts_warm_up, scale.posts)
        for number in range(count)
    ]


async def _deliver(plan: Plan, control: Control) -> tuple[float, float, float]:
    settings = SenderSettings(ca_bundle=plan.authority, allow_networks=(LOOPBACK,), drain_timeout=0)
    database = open_database(plan.database)
    await database.open()
    begun = await control.arrived()
    async with Transport(settings) as transport:
        engine = Engine(database, sealing.load(os.environ), transport, settings, clock=time.time, draw=random.random)
        running = asyncio.create_task(engine.run())
        await control.wait_for(begun + plan.warm_up)
        costs = time.process_time(), _server_cpu(plan.server_pid)
        await control.wait_for(begun + plan.deliveries)
        await _recorded(database, plan.subscriptions)
        ended = time.monotonic()
        since = time.process_time() - costs[0], _server_cpu(plan.server_pid) - costs[1]
        engine.drain()
        await running
    await database.close()
    return ended, *since


async def _recorded(database: Database, subscriptions: Sequence[str]) -> None:
    """Until none of their deliveries is in the queue."""
    names = ", ".join(f"'{name}'" for name in subscriptions)
    statement = text(f"SELECT 1 FROM queue WHERE subscription_id IN ({names}) LIMIT 1")

    def is_left(connection: Connection) -> bool:
        return connection.execute(statement).first() is not None

    since = time.monotonic()
    while await database.read(is_left):
        if time.monotonic() - since > STALLED:
            raise RuntimeError("deliveries that have arrived are not recorded")
        await asyncio.sleep(POLL / 4)


def _server_cpu(pid: int) -> float:
    """Seconds of the database server so far."""
    return cpu_of([pid] if pid else [])


if __name__ == "__main__":
    given: dict[str, Any] = json.loads(sys.argv[1])
    tune()
    gc.freeze()
    Path(given["output"]).write_text(json.dumps(asdict(uvloop.run(main(Plan(**given))))), "utf-8")
