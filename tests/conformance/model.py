"""An inbox in plain Python, written from the port's promises alone: what the real ones are compared with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from kirimhook.receiver.model import (
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
    Unhandled,
)

DAY = 86_400_000
ENDS = {
    Done: EventState.DONE,
    Parked: EventState.PARKED,
    Unhandled: EventState.UNHANDLED,
    Skipped: EventState.SKIPPED,
}
FINISHED = frozenset(ENDS.values())
ERASABLE = FINISHED - {EventState.PARKED}


@dataclass
class Event:
    number: int
    name: str
    key: str | None
    arrived: int
    end: EventState | None = None
    attempts: int = 0
    crashes: int = 0
    reason: str | None = None
    due: int | None = None
    token: int | None = None
    ended: int | None = None
    payload: bool = True

    def state(self, now: int) -> EventState:
        if self.end:
            return self.end
        return EventState.RUNNING if self.token and self.due and self.due > now else EventState.WAITING

    def seen(self, now: int) -> tuple[object, ...]:
        """What the inbox shows of it."""
        return (
            self.number, self.name, self.state(now), self.attempts, self.due, self.ended, self.reason, self.payload,
        )  # fmt: skip


class Model:
    def __init__(self, now: int) -> None:
        self.now = now
        self.events: dict[int, Event] = {}

    def put(self, arrivals: Iterable[tuple[str, str | None]], fresh_numbers: Iterable[int]) -> list[Receipt]:
        """Takes the numbers from the inbox, which must go up."""
        receipts = []
        numbers = iter(fresh_numbers)
        for name, key in arrivals:
            known = next((event for event in self.events.values() if event.name == name), None)
            if known:
                parked = known.end is EventState.PARKED
                receipts.append(Receipt.DUPLICATE_PARKED if parked else Receipt.DUPLICATE)
                continue
            receipts.append(Receipt.FRESH)
            number = next(numbers)
            assert number > max(self.events, default=0)
            self.events[number] = Event(number, name, key, self.now)
            self.wake(key, number)
        return receipts

    def lane(self, event: Event) -> list[Event]:
        """What is unfinished of its key, in order: the one that is at work or due first, then by number."""
        if event.key is None:
            return [event]
        mine = [other for other in self.events.values() if other.key == event.key and not other.end]
        return sorted(mine, key=lambda other: (other.due is None, other.number))

    def wake(self, key: str | None, number: int) -> None:
        """If nothing of the key is at work or due, the first one of it is."""
        lane = self.lane(self.events[number]) if key is not None else [self.events[number]]
        if lane and lane[0].due is None and not lane[0].end:
            lane[0].due = self.now

    def due_heads(self) -> list[Event]:
        due = [event for event in self.events.values() if event.due is not None and event.due <= self.now]
        return sorted(due, key=lambda event: (event.due or 0, event.number))

    def check_and_take(self, leases: list[Lease], limit: int, until: int) -> None:
        due = self.due_heads()
        suspects = [event.number for event in due if event.crashes + (event.token is not None) >= 2]
        heads = [self.events[lease.run[0].number] for lease in leases]
        assert all(head in due for head in heads), "leased what is not due, or held"
        if any(lease.suspect for lease in leases):
            assert [len(lease.run) for lease in leases] == [1]
            assert heads[0].number in suspects
        else:
            assert len(leases) == min(limit, len(due))
            assert not any(head.number in suspects for head in heads)
            assert sorted(head.due or 0 for head in heads) == [event.due for event in due[:limit]]
        for lease, head in zip(leases, heads, strict=True):
            self.take(lease, head, until)

    def take(self, lease: Lease, head: Event, until: int) -> None:
        ran_out = head.token is not None
        head.attempts, head.crashes = head.attempts + ran_out, head.crashes + ran_out
        run = [head] if lease.suspect else self.lane(head)
        assert [(one.number, one.attempt) for one in lease.run] == [(event.number, event.attempts + 1) for event in run]
        head.token, head.due = lease.token, until

    def settle(self, settlement: Settlement) -> bool:
        event = self.events.get(settlement.number)
        if event is None or event.end or event.token != settlement.token:
            return False
        then = self.events.get(settlement.then) if settlement.then else None
        token, until = event.token, event.due
        event.token = event.due = None
        if self.finish(event, settlement.outcome) and event.key is not None:
            if then is not None:
                then.token, then.due = token, until
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
        return event.end is not None

    def renew(self, token: int, number: int, until: int) -> bool:
        event = self.events.get(number)
        if event is None or event.end:
            return False
        head = self.lane(event)[0] if event.due is None else event
        if head.token != token:
            return False
        head.due = until
        return True

    def put_back(self, numbers: set[int], states: frozenset[EventState]) -> int:
        """-1: all that was named by number have lost their bodies."""
        meant = [event for event in self.events.values() if event.end in (states or FINISHED)]
        meant = sorted((event for event in meant if not numbers or event.number in numbers), key=lambda e: e.number)
        back = [event for event in meant if event.payload]
        if numbers and meant and not back:
            return -1
        for event in back:
            self.events[event.number] = Event(event.number, event.name, event.key, event.arrived)
            self.wake(event.key, event.number)
        return len(back)

    def purge(self) -> tuple[int, int]:
        erasable = [event for event in self.events.values() if event.end in ERASABLE]
        old = [event for event in erasable if (event.ended or 0) < self.now - 7 * DAY]
        gone = [event for event in old if event.arrived < self.now - 32 * DAY]
        payloads = [event for event in old if event.payload]
        for event in payloads:
            event.payload = False
        for event in gone:
            del self.events[event.number]
        return len(payloads), len(gone)
