"""What the suite's tests are played on: a storage, an opened inbox of it, a clock, and the steps they share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from kirimhook.contract.events import dedupe_key
from kirimhook.receiver.inbox import Capabilities, Filter, Inbox
from kirimhook.receiver.model import (
    Done,
    EventState,
    InboundEvent,
    Lease,
    Outcome,
    Receipt,
    Released,
    RetryAt,
    Settlement,
    SnoozeUntil,
    StoredEvent,
)
from kirimhook.testing.clock import Clock

START = 1_779_530_400.0
"""When the clock of every test begins: 2026-05-23T10:00:00Z."""
DAY = 86_400.0
EVERYTHING = Filter()
HOLDS_KEY = (RetryAt, SnoozeUntil, Released)


class Storage(ABC):
    """One test's storage, empty at first. Handles share it, as processes would."""

    def __init__(self) -> None:
        self.clock = Clock(START)

    @abstractmethod
    def inbox(self, **bounds: int) -> Inbox:
        """A new handle, not opened, on `self.clock`: 32 days of records, 7 of payloads.

        `bounds` are `max_waiting` (events) and `max_waiting_bytes`: what may wait for a commit at most.
        """

    async def prepare(self) -> None:  # noqa: B027  # a storage may need none
        """Make the storage, before any handle of it is opened: a schema, streams."""

    async def clean(self) -> None:  # noqa: B027  # likewise
        """Remove it, when all its handles are closed."""


class Bench:
    """An opened inbox and what is done to it."""

    def __init__(self, storage: Storage, inbox: Inbox) -> None:
        self.storage = storage
        self.clock = storage.clock
        self.inbox = inbox
        self._others: list[Inbox] = []

    @property
    def can(self) -> Capabilities:
        return self.inbox.capabilities

    @property
    def now(self) -> int:
        """Milliseconds since the epoch."""
        return int(self.clock() * 1000)

    async def another(self, **bounds: int) -> Inbox:
        """A second handle on the same storage, opened."""
        inbox = self.storage.inbox(**bounds)
        await inbox.open()
        self._others.append(inbox)
        return inbox

    async def bounded(self, **bounds: int) -> None:
        """The same storage from now on with these bounds. Empty again, where handles cannot share it."""
        await self.inbox.close()
        self.inbox = self.storage.inbox(**bounds)
        await self.inbox.open()

    async def reopen(self) -> None:
        await self.bounded()

    async def close(self) -> None:
        for inbox in (*self._others, self.inbox):
            await inbox.close()

    def event(self, event_id: str, key: str | None = None, **changes: Any) -> InboundEvent:
        """A message that arrives now; anything about it can be another."""
        event = InboundEvent(
            dedupe_key=b"",
            event_id=event_id,
            type="message.received",
            source="meta",
            ordering_key=key,
            livemode=True,
            problem=None,
            delivery_id=f"wbd_{event_id}",
            received_at=self.now,
            body=f'{{"n":"{event_id}"}}'.encode(),
        )._replace(**changes)
        return event._replace(dedupe_key=dedupe_key(event.source, event.event_id, event.type, event.body))

    async def put(self, key: str | None, *event_ids: str, **changes: Any) -> list[Receipt]:
        """One batch of messages of one ordering key."""
        return await self.inbox.put([self.event(event_id, key, **changes) for event_id in event_ids])

    async def lease(self, limit: int = 100, seconds: float = 30) -> list[Lease]:
        return await self.inbox.lease(limit, seconds)

    async def one(self, seconds: float = 30) -> Lease:
        """The only lease that is to be had."""
        leases = await self.lease(seconds=seconds)
        assert len(leases) == 1, leases
        return leases[0]

    async def end(self, lease: Lease, *outcomes: Outcome) -> list[bool]:
        """Settle the first events of a run in one batch; its worker goes on where the key is not held."""
        return await self.inbox.settle(settlements(lease, *outcomes))

    async def finish(self, *outcomes: Outcome) -> None:
        """Lease all that is due, once, and settle it: with `outcomes` in commit order, or all done."""
        leased = sorted(
            (one.number, lease.token, then.number if then else None)
            for lease in await self.lease()
            for one, then in zip(lease.run, [*lease.run[1:], None], strict=True)
        )
        ends = outcomes or (Done(),) * len(leased)
        for (number, token, then), outcome in zip(leased, ends, strict=True):
            assert await self.inbox.settle([Settlement(token, number, outcome, then)]) == [True]

    def due(self, stored: StoredEvent) -> int | None:
        """When it is due (ms). What is due already is due now, however long it has been."""
        return None if stored.due_at is None else max(stored.due_at, self.now)

    async def get(self, event_id: str) -> StoredEvent:
        """The only event of this id."""
        found = [stored for stored in await self.all() if stored.event.event_id == event_id]
        assert len(found) == 1, found
        return found[0]

    async def state(self, event_id: str) -> EventState:
        return (await self.get(event_id)).state

    async def all(self, where: Filter = EVERYTHING, page: int = 100) -> list[StoredEvent]:
        """By pages, newest first."""
        events: list[StoredEvent] = []
        cursor: str | None = None
        while True:
            found, cursor = await self.inbox.list(where, page, cursor)
            events += found
            if cursor is None:
                return events

    async def read(self, page: int = 100) -> list[StoredEvent]:
        """All that is stored, by pages, oldest first."""
        events: list[StoredEvent] = []
        while found := await self.inbox.read(events[-1].number if events else 0, page):
            assert len(found) <= page
            events += found
        return events

    async def unknown(self) -> int:
        """A number that no event has."""
        return max((stored.number for stored in await self.read()), default=0) + 10_000


def settlements(lease: Lease, *outcomes: Outcome) -> list[Settlement]:
    """Of the first events of a run: each goes on to the next one, unless its outcome holds the key."""
    numbers: list[int | None] = [one.number for one in lease.run]
    following = [*numbers[1:], None]
    return [
        Settlement(lease.token, number, outcome, None if isinstance(outcome, HOLDS_KEY) else then)
        for number, outcome, then in zip(numbers, outcomes, following, strict=False)
        if number is not None
    ]


def ids(leases: Sequence[Lease]) -> list[tuple[str, ...]]:
    """The event ids of each run, the runs sorted."""
    return sorted(tuple(one.event.event_id for one in lease.run) for lease in leases)
