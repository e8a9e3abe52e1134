"""An inbox in plain Python, written from the port's promises alone: what the real ones are compared with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from kirimhook.receiver.inbox import Capabilities
from kirimhook.receiver.model import (
    FINISHED,
    Done,
    EventState,
    Lease,
    Outcome,
    Parked,
    Receipt,
    Released,
    RetryAt,
    Settlement,
    Skipped,
    SnoozeUntil,
    StoredEvent,
    Unhandled,
)

DAY = 86_400_000
ENDS = {
    Done: EventState.DONE,
    Parked: EventState.PARKED,
    Unhandled: EventState.UNHANDLED,
    Skipped: EventState.SKIPPED,
}
ERASABLE = FINISHED - {EventState.PARKED}


class Shown(NamedTuple):
    """What an inbox shows of an event, as far as it promises to."""

    number: int
    name: str
    state: EventState
    attempts: int | None
    due: int | None
    ended: int | None
    reason: str | None
    payload: bool

    @classmethod
    def of(cls, stored: StoredEvent, now: int) -> Shown:
        return cls(
            stored.number,
            stored.event.event_id,
            stored.state,
            stored.attempts,
            stored.due_at if stored.due_at is None else max(stored.due_at, now),  # due already is due now
            stored.finished_at,
            stored.reason,
            stored.has_payload,
        )

    def promised(self, can: Capabilities) -> Shown:
        """Without what this inbox does not tell."""
        if self.state is EventState.DONE and not can.completion_details:
            return self._replace(attempts=None, ended=None)
        return self


@dataclass
class Event:
    number: int
    name: str
    key: str | None
    arrived: int
    since: int
    """The earliest that it may be said to be due since."""
    end: EventState | None = None
    attempts: int = 0
    crashes: int = 0
    reason: str | None = None
    due: int | None = None
    token: int | None = None
    ended: int | None = None
    payload: bool = True
    erased: bool = False

    def state(self, now: int) -> EventState:
        if self.end:
            return self.end
        return EventState.RUNNING if self.token and self.due and self.due > now else EventState.WAITING

    def shown(self, now: int) -> Shown:
        due = None if self.due is None else max(self.due, now)
        name = "" if self.erased else self.name
        return Shown(self.number, name, self.state(now), self.attempts, due, self.ended, self.reason, self.payload)

    def is_suspect(self) -> bool:
        """Once it is leased again."""
        return self.crashes + (self.token is not None) >= 2


class Model:
    """Events, and bookmarks by name."""

    def __init__(self, now: int, can: Capabilities) -> None:
        self.now = now
        self.can = can
        self.events: dict[int, Event] = {}
        self.bookmarks: dict[str, str] = {}
        self.last = 0
        """The highest number that was ever given."""

    def known(self, name: str) -> Event | None:
        return next((event for event in self.events.values() if event.name == name), None)

    def add(self, number: int, name: str, key: str | None) -> Event:
        assert number > self.last, "numbers do not rise"
        self.last = number
        event = self.events[number] = Event(number, name, key, self.now, self.now)
        return event

    def put(self, arrivals: Iterable[tuple[str, str | None]], fresh_numbers: Iterable[int]) -> list[Receipt]:
        """Takes the numbers from the inbox, which must go up."""
        receipts = []
        numbers = iter(fresh_numbers)
        for name, key in arrivals:
            if known := self.known(name):
                parked = known.end is EventState.PARKED
                receipts.append(Receipt.DUPLICATE_PARKED if parked else Receipt.DUPLICATE)
                continue
            receipts.append(Receipt.FRESH)
            self.wake(self.add(next(numbers), name, key))
        return receipts

    def adopt(self, events: Sequence[StoredEvent], fresh_numbers: Iterable[int]) -> int:
        numbers = iter(fresh_numbers)
        before = len(self.events)
        for stored in events:
            if not self.known(stored.event.event_id):
                event = self.add(next(numbers), stored.event.event_id, stored.event.ordering_key)
                event.arrived, event.attempts, event.reason = stored.event.received_at, stored.attempts, stored.reason
                self._stand(event, stored)
        return len(self.events) - before

    def _stand(self, event: Event, stored: StoredEvent) -> None:
        if stored.state in FINISHED:
            event.end, event.ended, event.payload = stored.state, stored.finished_at, stored.has_payload
            return
        self.wake(event)
        if event.due is not None and stored.state is EventState.WAITING and stored.due_at is not None:
            event.since = event.due = stored.due_at

    def lane(self, event: Event) -> list[Event]:
        """What is unfinished of its key, in order: the one that is at work or due first, then by number."""
        if event.key is None:
            return [event]
        mine = [other for other in self.events.values() if other.key == event.key and not other.end]
        return sorted(mine, key=lambda other: (other.due is None, other.number))

    def wake(self, event: Event) -> None:
        """If nothing of its key is at work or due, the first one of it is."""
        lane = self.lane(event)
        if lane and lane[0].due is None and not lane[0].end:
            lane[0].due = self.now

    def due_heads(self) -> list[Event]:
        return [event for event in self.events.values() if event.due is not None and event.due <= self.now]

    def move_bookmark(self, name: str, was: str | None, to: str | None) -> bool:
        if self.bookmarks.get(name) != was:
            return False
        self.bookmarks.pop(name, None)
        if to is not None:
            self.bookmarks[name] = to
        return True

    def check_and_take(self, leases: list[Lease], limit: int, until: int) -> None:
        due = self.due_heads()
        heads = [self.events[lease.run[0].number] for lease in leases]
        assert all(head in due for head in heads), "leased what is not due, or held"
        if any(lease.suspect for lease in leases):
            assert [len(lease.run) for lease in leases] == [1], "a suspect with something beside it"
            assert heads[0].is_suspect()
        else:
            assert not any(head.is_suspect() for head in heads), "a suspect that is not said to be one"
            innocent = [event for event in due if not event.is_suspect()]
            assert len(heads) == min(limit, len(due if self.can.oldest_first else innocent))
        if self.can.oldest_first:
            self.check_oldest(heads, due)
        for lease, head in zip(leases, heads, strict=True):
            self.take(lease, head, until)

    def check_oldest(self, heads: list[Event], due: list[Event]) -> None:
        """Nothing that was certainly due before one of these was left. A suspect comes before its turn."""
        left = [event for event in due if event not in heads]
        for head in heads:
            if not head.is_suspect():
                assert not any((event.due or 0) < head.since for event in left), "not the oldest first"

    def take(self, lease: Lease, head: Event, until: int) -> None:
        ran_out = head.token is not None
        head.attempts, head.crashes = head.attempts + ran_out, head.crashes + ran_out
        run = [head] if lease.suspect else self.lane(head)
        assert [(one.number, one.attempt) for one in lease.run] == [(event.number, event.attempts + 1) for event in run]
        head.token, head.due, head.since = lease.token, until, until

    def settle(self, settlement: Settlement) -> bool:
        event = self.events.get(settlement.number)
        if event is None or event.end or event.token != settlement.token:
            return False
        then = self.events.get(settlement.then) if settlement.then else None
        token, until = event.token, event.due
        event.token = event.due = None
        if self.finish(event, settlement.outcome) and event.key is not None:
            if then is not None:
                then.token, then.due, then.since = token, until, until or 0
            elif lane := self.lane(event):
                lane[0].due = self.now
        return True

    def finish(self, event: Event, outcome: Outcome) -> bool:
        match outcome:
            case RetryAt(at, reason):
                event.due, event.attempts, event.crashes, event.reason = at, event.attempts + 1, 0, reason
            case SnoozeUntil(at):
                event.due, event.crashes = at, 0
            case Released():
                event.due = self.now
            case _:
                event.end, event.ended = ENDS[type(outcome)], self.now
                event.attempts += isinstance(outcome, Done | Parked)
                event.reason = outcome.reason if isinstance(outcome, Parked) else None
        event.since = event.due or 0
        return event.end is not None

    def renew(self, token: int, number: int, until: int) -> bool:
        event = self.events.get(number)
        if event is None or event.end:
            return False
        head = self.lane(event)[0] if event.due is None else event
        if head.token != token:
            return False
        head.due = head.since = until
        return True

    def put_back(self, numbers: set[int], states: frozenset[EventState]) -> int:
        """-1: all that was named by number have lost their bodies."""
        meant = [event for event in self.events.values() if event.end in (states or FINISHED)]
        meant = sorted((event for event in meant if not numbers or event.number in numbers), key=lambda e: e.number)
        back = [event for event in meant if event.payload]
        if numbers and meant and not back:
            return -1
        for event in back:
            anew = Event(event.number, event.name, event.key, event.arrived, self.now)
            self.events[event.number] = anew
            self.wake(anew)
        return len(back)

    def erase(self, numbers: set[int]) -> int:
        """The name stays, as the digest that it is known by; it is shown no more."""
        found = [event for event in self.events.values() if event.number in numbers and event.end and not event.erased]
        for event in found:
            event.erased, event.payload, event.reason = True, False, None
        return len(found)

    def purge(self, payloads: int, left: set[int]) -> None:
        """After a whole purge that removed so many payloads, and left the records of these numbers.

        What is above an unfinished event may be left for later.
        """
        lowest = min((event.number for event in self.events.values() if not event.end), default=self.last + 1)
        old = {event.number for event in self.events.values() if self.is_old(event)}
        late = {event.number for event in self.events.values() if (event.ended or 0) >= self.now - 7 * DAY}
        gone = self.events.keys() - left
        assert gone <= (old - late if self.can.payload_retention else old), "purged too early"
        assert {number for number in old - late if number < lowest} <= gone, "not purged though it was time"
        if self.can.payload_retention:
            self.purge_payloads(payloads, gone)
        for number in gone:
            del self.events[number]

    def purge_payloads(self, payloads: int, gone: set[int]) -> None:
        """A record takes its payload with it."""
        ended = [event for event in self.events.values() if event.end in ERASABLE and event.payload]
        old = [event for event in ended if (event.ended or 0) < self.now - 7 * DAY]
        assert len([event for event in old if event.number not in gone]) <= payloads <= len(old)
        for event in old:
            event.payload = False

    def is_old(self, event: Event) -> bool:
        """Past `dedupe_days`. Its payload has its own time, from its end on, where the inbox knows when that was."""
        return event.end in ERASABLE and event.arrived < self.now - 32 * DAY


def settlements_of(
    lease: Lease, first: int, ends: Sequence[tuple[Any, int]], goes_on: bool, now: int
) -> list[Settlement]:
    """Of a run from its event `first` on: `(kind of outcome, delay in seconds)` for each, as a worker says it.

    `goes_on`: with the event after the last one too.
    """
    some = [one.number for one in lease.run[first:]]
    made = []
    for position, (number, (kind, delay)) in enumerate(zip(some, ends, strict=False)):
        following = some[position + 1] if position + 1 < len(some) else None
        then = following if kind in ENDS and (goes_on or position + 1 < len(ends)) else None
        made.append(Settlement(lease.token, number, _outcome(kind, now, delay), then))
    return made


def _outcome(kind: Any, now: int, delay: int) -> Any:
    at = now + delay * 1000
    given = {RetryAt: (at, f"retry {delay}"), SnoozeUntil: (at,), Parked: (f"parked {delay}",)}
    return kind(*given.get(kind, ()))
