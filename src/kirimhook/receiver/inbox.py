"""The port between a receiver and what stores its events.

`backends` holds the implementations and `testing.conformance` the suite that all of them pass. Every verb can
be awaited from any event loop in any thread. Times are milliseconds since the epoch, durations seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from kirimhook.receiver.model import EventState, InboundEvent, Lease, Receipt, Settlement, StoredEvent


class InboxUnavailable(Exception):
    """The storage cannot take or give events now. Nothing that was put with this call is promised.

    `reason` is one word for the metrics, `retry_after` a number of seconds for the sender.
    """

    def __init__(self, reason: str, detail: str = "", retry_after: int = 5) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail
        self.retry_after = retry_after


class InboxBusy(InboxUnavailable):
    """Too many events wait to be committed."""


class NoTransactions(Exception):
    """This inbox has none; `Capabilities.transactions` says so beforehand."""


class PayloadPurged(Exception):
    """The event's body is gone, so it cannot be put back."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What this inbox can do beside the verbs, and how well. Suite and documents read it from here."""

    transactions: bool
    """`transact` works: a handler's effects and its completion commit together (G4)."""
    durable: bool
    """A put survives a power cut of every machine. False for `:memory:`."""
    shared: bool = True
    """Several handles, in several processes, can have the same storage. False for `:memory:`."""
    payload_retention: bool = True
    """Bodies can go before records do. False: a body lives as long as its record (`dedupe_days`)."""
    completion_details: bool = True
    """A done event tells when it ended and after how many attempts. False: only that it is done."""
    oldest_first: bool = True
    """Of the runs that are due, those that are due longest are leased first. False: about so."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which events. Empty means all; `types` may end in `*`; the window is [after, before) on arrival, in ms.

    `above` and `below` hold the numbers strictly between them: with both, a look costs no more than that many events.
    With `ordering_key` and no finished state, it costs no more than the unfinished events of that key.
    """

    states: frozenset[EventState] = field(default_factory=frozenset)
    types: tuple[str, ...] = ()
    event_id: str | None = None
    numbers: tuple[int, ...] = ()
    received_after: int | None = None
    received_before: int | None = None
    above: int | None = None
    below: int | None = None
    ordering_key: str | None = None


class Page(NamedTuple):
    """Newest first. `next_cursor` is None on the last page."""

    events: list[StoredEvent]
    next_cursor: str | None


class Purged(NamedTuple):
    """What one bounded purge removed. `more` says that another call has work."""

    payloads: int
    records: int
    more: bool


@dataclass(frozen=True, slots=True)
class Stats:
    counts: Mapping[EventState, int]
    paused: bool
    oldest_waiting: int | None
    """When the oldest event that is not finished arrived (ms)."""
    bytes: int
    """Size of the storage."""


class Transaction(Protocol):
    """What a handler with `transaction=True` gets: statements in the transaction that completes its event."""

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run one statement; the rows it returns. It cannot commit, roll back or attach."""
        ...


class Inbox(Protocol):
    """Stores events once, hands them out under fenced leases, in order per key."""

    @property
    def capabilities(self) -> Capabilities: ...

    async def open(self) -> None:
        """Make ready. Raises `InboxUnavailable`."""

    async def close(self) -> None:
        """Commit what waits, then let go of the storage."""

    async def put(self, events: Sequence[InboundEvent]) -> list[Receipt]:
        """Claim and store each event in one atomic write; returns when it is durable.

        Raises `InboxBusy`, `InboxUnavailable`; the events of that call may then be stored or not.
        """
        ...

    async def lease(self, limit: int, seconds: float) -> list[Lease]:
        """Up to `limit` runs that are due, each held for `seconds`. Empty while paused.

        An event whose lease ran out is due again with one attempt more. A suspect comes alone.
        """
        ...

    async def renew(self, heads: Sequence[tuple[int, int]], seconds: float) -> list[bool]:
        """Hold the leases `(token, number of the event now being handled)` for longer. False: it was lost."""
        ...

    async def settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        """End events, in order. False: the lease was lost to another worker and nothing was changed."""
        ...

    async def transact(self, done: Settlement, work: Callable[[Transaction], object]) -> bool:
        """Run `work` and settle `done` in one transaction. False: the lease was lost, `work` rolled back.

        An exception of `work` rolls back too, and comes out as it is. Raises `NoTransactions`, before `work` is
        called, where `capabilities` do not promise them.
        """
        ...

    async def wait(self, timeout: float) -> None:
        """Return when something may be due, and at the latest after `timeout` seconds."""

    async def read(self, after: int, limit: int) -> list[StoredEvent]:
        """Stored events above number `after`, oldest first, at most `limit`. Empty: there are no more."""
        ...

    async def get(self, number: int) -> StoredEvent | None: ...

    async def known(self, keys: Sequence[bytes]) -> list[EventState | None]:
        """The states of the events with these dedupe keys (contract section 3), in this order; None: not held here.

        At the cost of a look at an index for each, however much is stored.
        """
        ...

    async def list(self, where: Filter, limit: int = 25, cursor: str | None = None, *, bodies: bool = True) -> Page:
        """Without `bodies` these are empty, and not read: a list of large ones costs no more than one of small ones.

        Raises ValueError for a cursor that this inbox did not give.
        """
        ...

    async def count(self, where: Filter) -> int: ...

    async def put_back(self, where: Filter) -> int:
        """Make finished events due again with fresh attempts; how many.

        Raises ValueError for a filter that names neither finished states nor events, `PayloadPurged` when all
        that it names by number have lost their bodies.
        """
        ...

    async def pause(self) -> None:
        """No more leases, in any process, until `resume`. Events are still taken in."""

    async def resume(self) -> None: ...

    async def purge(self, limit: int) -> Purged:
        """Remove at most `limit` payloads and `limit` records that are past their retention; never unfinished ones.

        What is above an unfinished event may stay until that is finished.
        """
        ...

    async def erase(self, numbers: Sequence[int]) -> int:
        """Remove what says whom these finished events are about: body, ids, ordering key, reason; how many.

        An event that is not finished, or is erased already, is left as it is and not counted. The record stays, as a
        digest, under its number and in its state: what comes again is a duplicate still, and cannot be put back. Such
        an event has an empty `event_id` and `delivery_id`, no `ordering_key`, no `reason` and no payload. Returns when
        that is durable, and what was removed is overwritten as far as the storage can. An erase that was cut short is
        finished by the next one that names the same events.
        """
        ...

    async def bookmark(self, name: str) -> str | None:
        """A short text that whoever works on this inbox left under this name; None where there is none."""
        ...

    async def move_bookmark(self, name: str, was: str | None, to: str | None) -> bool:
        """Leave `to` under this name (None: nothing) if `was` is there now; whether it was. Durable on return.

        Of several who try with the same `was`, in any process, one succeeds. Raises ValueError for a name that is
        not 1 to 64 of `[a-z0-9_-]`, and for a text of more than 4096 characters.
        """
        ...

    async def stats(self) -> Stats: ...

    async def adopt(self, events: Sequence[StoredEvent]) -> int:
        """Store events of another inbox as they stand there, in this order; how many were not known here.

        They get numbers of this inbox. What is finished stays finished, whatever happens meanwhile: it is never
        handed out. What runs there waits here, due at once; a due time, attempts and a reason are kept. Returns
        when all of them are durable. Raises `InboxUnavailable`; some may then be stored, and calling again is safe.
        """
        ...
