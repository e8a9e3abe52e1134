"""A sender on a real database with a clock of its own, and attempts that end as a test says: no engine, no network.

`settled` writes what an engine would, in statements of its own, so that the account is not checked by what wrote it.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, text

from kirimhook.contract.resources import Attempt, Timing
from kirimhook.sender.database import Database
from kirimhook.sender.sealing import Sealer
from kirimhook.sender.service import KirimEvent, Sender, Tenant
from kirimhook.settings import SenderSettings
from kirimhook.testing.clock import Clock
from tests.sender.databases import Databases

START = 1_779_530_400.0
DAY = 86_400
SUCCEED, FAIL, REJECT = "succeeded", "failed", "dead"
KEY = Sealer.new_key()
TYPES = ("contact.created", "contact.updated")


def at(seconds: float) -> datetime:
    """So many seconds after the start."""
    return datetime.fromtimestamp(START, UTC) + timedelta(seconds=seconds)


class Stage:
    """One organisation, `acme`, unless a test makes another."""

    def __init__(self, database: Database, **settings: Any) -> None:
        self.database = database
        self.clock = Clock(START)
        randomness = random.Random(f"{settings}").randbytes  # a failure can be had again
        self.settings = SenderSettings(**settings)
        self.sender = Sender(database, self.settings, Sealer([KEY]), clock=self.clock, randomness=randomness)
        self.organisation = ""
        self._numbers = itertools.count()

    @property
    def tenant(self) -> Tenant:
        return self.sender.tenant(self.organisation)

    async def begin(self) -> None:
        self.organisation = await self.another("acme")

    async def another(self, name: str) -> str:
        return (await self.sender.create_organisation_key(name)).organisation_id

    async def subscribe(self, *types: str) -> str:
        return (await self.tenant.create_subscription("https://example.com/hook", types or TYPES)).id

    async def publish(self, count: int = 1, event_type: str = TYPES[0]) -> list[str]:
        """Ids of the events, which all matching subscriptions get."""
        numbers = list(itertools.islice(self._numbers, count))
        for start in range(0, count, 100):
            events = [KirimEvent(event_type, {"n": n}, f"evt_{n}") for n in numbers[start : start + 100]]
            await self.tenant.publish(events)
        return [f"evt_{n}" for n in numbers]

    async def rows(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        return await self.database.read(
            lambda connection: [tuple(row) for row in connection.execute(text(statement), values)]
        )

    async def one(self, statement: str, **values: Any) -> Any:
        return (await self.rows(statement, **values))[0][0]

    async def run(self, statement: str, **values: Any) -> None:
        await self.database.write(lambda connection: _run(connection, statement, values))

    async def ids(self, status: str | None = None, subscription: str | None = None) -> list[str]:
        """Deliveries in the order in which they were made."""
        rows = await self.rows("SELECT id, status, subscription_id FROM deliveries ORDER BY id")
        return [row[0] for row in rows if status in {None, row[1]} and subscription in {None, row[2]}]

    async def settled(self, outcome: str, *deliveries: str) -> None:
        """An attempt of each ends."""
        now = int(self.clock() * 1000)

        def operation(connection: Connection) -> None:
            for delivery in deliveries:
                _settle(connection, delivery, outcome, now)

        await self.database.write(operation)

    async def settle_open(self, outcome: str) -> None:
        await self.settled(outcome, *await self.ids("pending"), *await self.ids("failed"))

    async def dead(self, count: int, event_type: str = TYPES[0]) -> None:
        """So many dead letters for every subscription."""
        await self.publish(count, event_type)
        await self.settle_open(REJECT)

    async def keep(self) -> int:
        """Rounds until nothing is left to do; how many."""
        for number in itertools.count(1):  # noqa: B007  # it is the result
            if not (await self.sender.keep()).more:
                break
        return number

    async def wrong(self) -> set[str]:
        """The rules that the ledger finds broken."""
        return {finding.check for finding in (await self.sender.ledger()).findings}

    async def account(self, subscription: str) -> dict[str, Any]:
        (found,) = [a for a in (await self.sender.ledger()).accounts if a.subscription_id == subscription]
        return found._asdict()


def _run(connection: Connection, statement: str, values: dict[str, Any]) -> None:
    connection.execute(text(statement), values)


def _settle(connection: Connection, delivery: str, outcome: str, now: int) -> None:
    query = text("SELECT attempt_count, subscription_id FROM deliveries WHERE id = :id")
    count, subscription = connection.execute(query, {"id": delivery}).one()
    final = outcome != FAIL
    values = {"id": delivery, "now": now, "n": count + 1, "status": outcome, "record": _record(count + 1, now)}
    values |= {"next": None if final else now + 10_000, "finished": now if final else None}
    values |= {"reason": "rejected" if outcome == REJECT else None, "subscription": subscription}
    if final:
        left = connection.execute(text("DELETE FROM queue WHERE delivery_id = :id"), values).rowcount
        held = "UPDATE subscriptions SET held = held - 1 WHERE id = :subscription AND status = 'disabled'"
        connection.execute(text(f"{held} AND deleted_at IS NULL"), values)
    else:
        requeue = "UPDATE queue SET due_at = :next, attempts = :n WHERE delivery_id = :id"
        left = connection.execute(text(requeue), values).rowcount
    assert left == 1, "only what is open can be attempted"
    connection.execute(
        text(
            "UPDATE deliveries SET status = :status, attempt_count = :n, next_attempt_at = :next,"
            " dead_reason = :reason, finished_at = :finished, last_attempt_at = :now WHERE id = :id"
        ),
        values,
    )
    connection.execute(text("INSERT INTO attempts VALUES (:id, :n, :record)"), values)


def _record(number: int, now: int) -> str:
    moment = datetime.fromtimestamp(now / 1000, UTC)
    timing = Timing(0.1, 0.2, 0.3, 0.4)
    return json.dumps(
        Attempt(number, moment, 1.5, timing, "192.0.2.1", {}, 500, {}, "no", None, None, "final").to_json()
    )


@contextlib.asynccontextmanager
async def staged(databases: Databases, **settings: Any) -> AsyncIterator[Stage]:
    async with databases.opened() as database:
        stage = Stage(database, **settings)
        await stage.begin()
        yield stage
