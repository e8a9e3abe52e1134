"""A stage for engines: a database with subscriptions and deliveries in it, put there row by row, and a clock.

Attempts go over real TLS to `kirimhook.testing.endpoint`. What is in the database is read over another connection.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet
from sqlalchemy import Table, insert, text

from kirimhook.contract import ids
from kirimhook.observe import Meter
from kirimhook.sender.database import Database
from kirimhook.sender.engine import Engine
from kirimhook.sender.model import Rank
from kirimhook.sender.schema import deliveries, events, organisations, queue, secrets, subscriptions
from kirimhook.sender.sealing import Sealer
from kirimhook.sender.transport import Transport
from kirimhook.settings import SenderSettings
from kirimhook.testing.clock import Clock
from tests.sender.databases import Databases

NOW = 1_780_000_000.0
SECRET = "whsec_c2VjcmV0LW9mLXRoZS1zdGFnZS1mb3ItZW5naW5lcyE"
BODY = b'{"id":"evt_1","type":"contact.created","livemode":true,"data":{}}'
MASTER_KEY = Fernet.generate_key().decode()
SEALER = Sealer([MASTER_KEY])


def new_id(prefix: str, at: float) -> str:
    return ids.make(prefix, int(at * 1000), os.urandom(10))


class Stage:
    """One organisation, `org_1`."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self.database = database
        self.clock = clock

    async def begin(self) -> None:
        await self._insert(organisations, [{"id": "org_1", "name": "one", "created_at": 0}])

    async def subscribe(self, url: str, organisation: str = "org_1", **fields: Any) -> str:
        id_ = str(fields.pop("id", None) or new_id(ids.SUBSCRIPTION, self.clock()))
        row = {"id": id_, "organisation_id": organisation, "url": url, "status": "active", "created_at": 0, **fields}
        await self._insert(subscriptions, [row])
        await self.add_secret(id_, SECRET)
        return id_

    async def add_secret(self, subscription: str, secret: str, expires_at: float | None = None) -> None:
        expires = None if expires_at is None else int(expires_at * 1000)
        row = {"subscription_id": subscription, "sealed": SEALER.seal(secret.encode()), "created_at": 0}
        await self._insert(secrets, [{"id": new_id(ids.SECRET, self.clock()), **row, "expires_at": expires}])

    async def publish(
        self,
        subscription: str,
        count: int = 1,
        *,
        body: bytes = BODY,
        rank: Rank = Rank.LIVE,
        kind: str = "original",
        organisation: str = "org_1",
        **fields: Any,
    ) -> list[str]:
        """Deliveries due now, each of an event of its own; `fields` are columns of a delivery."""
        at = int(self.clock() * 1000)
        made = [(new_id(ids.DELIVERY, self.clock()), new_id(ids.EVENT, self.clock())) for _ in range(count)]
        event = {
            "organisation_id": organisation, "type": "contact.created", "source": "kirim", "body": body,
            "size": len(body), "matches": 1, "created_at": at,
        }  # fmt: skip
        delivery = {
            "organisation_id": organisation, "subscription_id": subscription, "event_type": "contact.created",
            "source": "kirim", "kind": kind, "status": "pending", "max_attempts": 8, "created_at": at,
            "next_attempt_at": at, **fields,
        }  # fmt: skip
        waiting = {"subscription_id": subscription, "rank": int(rank), "due_at": at}
        await self._insert(events, [{**event, "id": e, "event_id": e, "dedupe_key": os.urandom(32)} for _, e in made])
        await self._insert(deliveries, [{**delivery, "id": id_, "event": e, "event_id": e} for id_, e in made])
        await self._insert(queue, [{**waiting, "delivery_id": id_} for id_, _ in made])
        return [id_ for id_, _ in made]

    async def rows(self, statement: str, **parameters: Any) -> list[tuple[Any, ...]]:
        return await self.database.read(
            lambda connection: [tuple(row) for row in connection.execute(text(statement), parameters)]
        )

    async def value(self, statement: str, **parameters: Any) -> Any:
        return (await self.rows(statement, **parameters))[0][0]

    async def change(self, statement: str, **parameters: Any) -> None:
        def write(connection: Any) -> None:
            connection.execute(text(statement), parameters)

        await self.database.write(write)

    async def states(self) -> dict[str, str]:
        return dict(await self.rows("SELECT id, status FROM deliveries"))

    async def next_due(self) -> float | None:
        """Half a millisecond past it: a clock of floats may fall short of a whole one."""
        due = await self.value("SELECT min(due_at) FROM queue")
        return None if due is None else (int(due) + 0.5) / 1000

    async def _insert(self, table: Table, rows: Sequence[dict[str, Any]]) -> None:
        def write(connection: Any) -> None:
            connection.execute(insert(table), list(rows))

        if rows:
            await self.database.write(write)


def settings_for(ca: Path | None = None, **fields: Any) -> SenderSettings:
    """Loopback can be dialled."""
    return SenderSettings(ca_bundle=str(ca or ""), allow_networks=("127.0.0.0/8", "::1/128"), **fields)


@contextlib.asynccontextmanager
async def stage(databases: Databases, clock: Callable[[], float] | None = None) -> AsyncIterator[Stage]:
    async with databases.opened() as database:
        made = Stage(database, clock or Clock(NOW))
        await made.begin()
        yield made


@contextlib.asynccontextmanager
async def running(stage: Stage, settings: SenderSettings, **options: Any) -> AsyncIterator[Engine]:
    """An engine that runs, with its own transport; `meter` may be among the options."""
    async with Transport(settings, clock=stage.clock) as transport:
        engine = Engine(stage.database, SEALER, transport, settings, clock=stage.clock, **options)
        engine.start()
        try:
            yield engine
        finally:
            await engine.stop()


async def play(stage: Stage, engine: Engine, clock: Clock) -> None:
    """Let time pass from one due delivery to the next, until nothing is open."""
    while True:
        await engine.idle()
        due = await stage.next_due()
        if due is None:
            return
        clock.now = max(clock.now, due)


def counted(meter: Meter, name: str) -> dict[str, int]:
    return dict(meter.counter(f"kirimhook_sender_{name}"))
