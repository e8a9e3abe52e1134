"""Whatever is asked of a partition, in whatever batches: it shows what a plain model of the port's promises shows.

Records are appended or lost; replicas that read them, or start from a snapshot, become equal to their writer.
"""

from __future__ import annotations

from collections import Counter
from copy import deepcopy
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from kirimhook.backends.jetstream.codec import Adopted, Tombstone
from kirimhook.backends.jetstream.partition.decide import Batch, Fresh, Taken
from kirimhook.backends.jetstream.partition.entry import Entry
from kirimhook.backends.jetstream.partition.record import Ended, Record
from kirimhook.backends.jetstream.partition.state import State
from kirimhook.receiver.inbox import Capabilities
from kirimhook.receiver.model import (
    FINISHED,
    Done,
    EventState,
    InboundEvent,
    Lease,
    LeasedEvent,
    Parked,
    Released,
    RetryAt,
    Skipped,
    SnoozeUntil,
    StoredEvent,
    Unhandled,
)
from kirimhook.testing.conformance.model import Event, Model, settlements_of

Endings = list[tuple[Any, int]]
CAN = Capabilities(
    transactions=False, durable=True, payload_retention=False, completion_details=False, oldest_first=False
)
EVENT = InboundEvent(b"k", "e", "t", "s", None, True, None, "d", 0, b"")
lanes = st.sampled_from([None, 1, 2, 3])
arrivals = st.lists(lanes, min_size=1, max_size=8)
delays = st.sampled_from([0, 1, 60, 3_600])
outcomes = st.sampled_from([Done, Done, Done, Parked, RetryAt, SnoozeUntil, Released, Unhandled, Skipped])
endings = st.lists(st.tuples(outcomes, delays), min_size=1, max_size=4)
finished = st.frozensets(st.sampled_from(sorted(FINISHED)), min_size=1)


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = 1_779_530_400_000
        self.model = Model(self.now, CAN)
        self.stream: list[Fresh] = []
        self.state, self.replica = State(), State()
        self.journal: list[tuple[int, bytes]] = []
        self.aside: dict[int, Ended] = {}
        self.leases: list[Lease] = []
        self.tokens = 0
        self.open: Batch | None = None

    @property
    def batch(self) -> Batch:
        if self.open is None:
            self.open = Batch(self.state, self.stream, self.now, f"r{len(self.journal)}")
            self.saved = deepcopy(self.model), list(self.leases), self.state.to_snapshot()
        return self.open

    @rule()
    def append(self) -> None:
        """What the batch showed is what all replicas have once its record is in the journal."""
        record = self.batch.record()
        if record is not None:
            shown = {fresh.number: self.entry(fresh.number) for fresh in self.stream}
            sequence = self.state.sequence + 1 + len(self.journal) % 3
            self.journal.append((sequence, record.encode()))
            self.state.apply(record, sequence)
            assert {number: self.state.entries.get(number) for number in shown} == shown
            assert Record.decode(record.encode()) == record
            assert State.from_snapshot(self.state.to_snapshot()) == self.state
            self.aside |= {ended.number: ended for ended in record.ended}
        self.open = None

    @precondition(lambda self: self.open)
    @rule()
    def lose(self) -> None:
        """Whatever was decided: a state that nothing was appended to is as it was."""
        self.model, self.leases, before = self.saved
        assert self.state.to_snapshot() == before
        assert self.state == State.from_snapshot(before)
        self.open = None

    @rule(start_anew=st.booleans())
    def replicate(self, start_anew: bool) -> None:
        """From the beginning or from wherever a snapshot was made: the same."""
        if start_anew:
            self.replica = State.from_snapshot(self.replica.to_snapshot())
        for sequence, data in self.journal:
            if sequence > self.replica.sequence:
                self.replica.apply(Record.decode(data), sequence)
        assert self.replica == self.state
        assert State.from_snapshot(self.state.to_snapshot()) == self.state

    @rule()
    def another_handle_goes_on(self) -> None:
        self.append()
        self.replicate(start_anew=True)
        self.state, self.replica = self.replica, self.state

    @rule(arriving=arrivals)
    def put(self, arriving: list[int | None]) -> None:
        self.append()
        for lane in arriving:
            number = self.next_number()
            self.stream.append(Fresh(number, lane, self.now))
            self.model.put([(f"{number}", None if lane is None else f"{lane}")], [number])

    def next_number(self) -> int:
        """Events of other partitions lie between."""
        last = max(self.model.last, self.state.noted, *(fresh.number for fresh in self.stream), 0)
        return last + 1 + last % 2

    @rule(lane=lanes, state=st.sampled_from(list(EventState)), due=st.sampled_from([None, 0, 60]))
    def adopt(self, lane: int | None, state: EventState, due: int | None) -> None:
        self.append()
        number, over = self.next_number(), state in FINISHED
        reason = f"adopted {number}" if state in (EventState.PARKED, EventState.WAITING) else None
        at = None if due is None or over else self.now + due * 1000
        adopted = Adopted(state, number % 3, at, reason, self.now if over else None, has_payload=True)
        self.stream.append(Fresh(number, lane, self.now, adopted))
        event = EVENT._replace(event_id=f"{number}", ordering_key=None if lane is None else f"{lane}")
        self.model.adopt([StoredEvent(1, event, state, *adopted[1:3], adopted[4], reason, True)], [number])
        self.batch.note(100)
        self.append()

    @rule(limit=st.integers(1, 6), seconds=st.sampled_from([30, 600]))
    def lease(self, limit: int, seconds: int) -> None:
        self.tokens += 1
        until = self.now + seconds * 1000
        leases = [as_lease(taken) for taken in self.batch.lease(limit, until, self.tokens)]
        self.model.check_and_take(leases, limit, until)
        self.leases += leases

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), ends=endings, goes_on=st.booleans())
    def settle(self, data: st.DataObject, ends: Endings, goes_on: bool) -> None:
        """Of some lease, held or lost, from its beginning or from somewhere in it."""
        lease = self.leases[-1 - data.draw(st.integers(0, min(len(self.leases), 4) - 1))]
        self.end(lease, data.draw(st.integers(0, len(lease.run) - 1)), ends, goes_on)

    @rule(limit=st.integers(1, 6), ends=endings, goes_on=st.booleans())
    def work(self, limit: int, ends: Endings, goes_on: bool) -> None:
        before = len(self.leases)
        self.lease(limit, 30)
        for lease in self.leases[before:]:
            self.end(lease, 0, ends, goes_on)

    def end(self, lease: Lease, first: int, ends: Endings, goes_on: bool) -> None:
        settlements = settlements_of(lease, first, ends, goes_on, self.now)
        assert self.batch.settle(settlements) == [self.model.settle(one) for one in settlements]

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        lease = data.draw(st.sampled_from(self.leases[-4:]))
        number = data.draw(st.sampled_from([one.number for one in lease.run]))
        until = self.now + 90_000
        assert self.batch.renew([(lease.token, number)], until) == [self.model.renew(lease.token, number, until)]

    @rule(seconds=st.sampled_from([0.001, 29, 30, 31, 31, 601, 86_400]))
    def time_passes(self, seconds: float) -> None:
        self.append()
        self.now += int(seconds * 1000)
        self.model.now = self.now

    @rule(limit=st.integers(1, 6))
    def crash(self, limit: int) -> None:
        """Lease, and be heard of no more."""
        self.lease(limit, 30)
        self.time_passes(30)

    @rule(states=finished)
    def put_back(self, states: frozenset[EventState]) -> None:
        self.append()
        lane_of = {fresh.number: fresh.lane for fresh in self.stream}
        found = [(one.number, lane_of[one.number], one.end) for one in self.found(states) if one.end and one.payload]
        assert all(self.batch.put_back(found, self.state.sequence))
        assert self.model.put_back(set(), states) == len(found)

    def found(self, states: frozenset[EventState]) -> list[Event]:
        self.batch.note(100)  # only what is noted can be found finished
        return [event for _, event in sorted(self.model.events.items()) if event.end in states]

    @rule(states=finished)
    def remove(self, states: frozenset[EventState]) -> None:
        self.append()
        found = [(self.message(event.number), event.end) for event in self.found(states) if event.end]
        for event in self.found(states):
            del self.model.events[event.number]
        assert all(self.batch.remove(found, self.state.sequence))
        self.append()
        assert self.state.removal_due.keys() >= {number for number, _ in found}
        for number, state in found:
            assert self.batch.put_back([(number, None, state)], self.state.sequence) == [False]
            assert self.batch.remove([(number, state)], self.state.sequence) == [False]
        self.delete()

    def delete(self) -> None:
        self.stream = [fresh for fresh in self.stream if fresh.number not in self.state.removal_due]
        self.batch.gone(list(self.state.removal_due))
        self.append()
        assert not self.state.removal_due

    def message(self, number: int) -> int:
        return self.state.erased.get(number, number)

    def publish_tombstones(self, events: list[Event], since: int) -> list[Fresh]:
        published = []
        for event in events:
            adopted = Adopted(event.end or EventState.DONE, event.attempts, None, None, event.ended, has_payload=False)
            tombstone = Tombstone(event.number, since)
            published.append(Fresh(self.next_number(), None, self.now, adopted, tombstone))
            self.stream.append(published[-1])
        self.open = None
        return published

    @rule(states=finished, told=st.sets(st.sampled_from(["before", "noted", "after"]), min_size=1))
    def erase(self, states: frozenset[EventState], told: set[str]) -> None:
        """Who published the tombstones says so before they are noted, or after that, or was killed."""
        self.found(states)
        self.append()
        found = [event for event in self.found(states) if event.payload]
        self.append()
        published = self.publish_tombstones(found, self.state.sequence)
        for event in found:
            event.payload, event.reason = False, None
        if "before" in told:
            assert all(self.batch.erase(published))
            self.append()
        self.batch.note(100)
        self.append()
        if "after" in told:
            assert all(self.batch.erase(published))
        assert {event.number for event in found} <= self.state.erased.keys()
        for event in found:
            wanted = (event.number, event.end or EventState.DONE)
            assert self.batch.remove([wanted], self.state.sequence) == [False]
            assert self.batch.put_back([(event.number, None, wanted[1])], self.state.sequence) == [False]
        self.delete()

    @rule(states=finished, noted=st.booleans())
    def erase_too_late(self, states: frozenset[EventState], noted: bool) -> None:
        """What was put back after it was found stays as it is, and its tombstone is to be deleted."""
        self.found(states)
        self.append()
        found = [event for event in self.found(states) if event.payload]
        since = self.state.sequence
        self.put_back(states)
        self.append()
        published = self.publish_tombstones(found, since)
        if noted:
            self.batch.note(100)
            self.append()
        assert not any(self.batch.erase(published))
        self.append()
        assert self.state.removal_due.keys() >= {one.number for one in published}
        self.delete()

    @rule(limit=st.integers(1, 6))
    def lease_while_paused(self, limit: int) -> None:
        self.batch.pause(True)
        assert self.batch.lease(limit, self.now + 1, 1) == []
        self.append()
        assert self.batch.lease(limit, self.now + 1, 1) == []
        self.batch.pause(False)
        self.append()

    @rule()
    def write_aside(self) -> None:
        self.append()
        for number, (as_of, ended) in list(self.state.aside_due.items()):
            if ended is not None:
                assert self.aside[number] == ended
            self.batch.confirm([(number, as_of - 1)])  # of an earlier end: not what is due now
            assert self.batch.record() is None
            self.batch.confirm([(number, as_of)])
            self.append()
        assert not self.state.aside_due

    def entry(self, number: int) -> Entry | None:
        return self.open._view.entry(number) if self.open else self.state.entries.get(number)

    @invariant()
    def shows_what_the_model_shows(self) -> None:
        noted = self.open._draft.upto if self.open else self.state.noted
        for number, event in self.model.events.items():
            if number > noted:
                assert event.end or (event.token is None and event.attempts == 0)
                assert event.end or event.due is None or event.due <= self.now
            else:
                assert self.shown(self.entry(number)) == self.expected(event)

    def expected(self, event: Event) -> tuple[object, ...] | None:
        if event.end:
            return None
        due = None if event.due is None else max(event.due, self.now)
        return event.number, due, event.token, event.attempts, event.crashes, event.reason

    def shown(self, entry: Entry | None) -> tuple[object, ...] | None:
        if entry is None:
            return None
        number, _, due, *rest = entry
        return number, None if due is None else max(due, self.now), *rest

    @precondition(lambda self: self.open is None)
    @invariant()
    def counts_what_the_model_counts(self) -> None:
        noted = [event for event in self.model.events.values() if event.number <= self.state.noted]
        counts = Counter(event.state(self.now) for event in noted)
        assert self.state.tally == {state: counts[state] for state in FINISHED}
        assert self.state.running(self.now) == counts[EventState.RUNNING]
        assert len(self.state.entries) == counts[EventState.WAITING] + counts[EventState.RUNNING]
        assert self.state.lowest() == min((event.number for event in noted if not event.end), default=None)
        heads = [event for event in noted if event.due is not None]
        due = {event.number for event in heads if (event.due or 0) <= self.now}
        assert {number for _, number in self.state.due_heads(self.now)} == due
        for event in noted:
            if event.end in (EventState.PARKED, EventState.UNHANDLED, EventState.SKIPPED):
                kept = self.aside[self.message(event.number)]
                assert kept[1:] == (event.end, event.ended, event.attempts, event.reason)


def as_lease(taken: Taken) -> Lease:
    return Lease(
        taken.token, tuple(LeasedEvent(number, attempt, EVENT) for number, attempt in taken.run), taken.suspect
    )


TestHistories = Machine.TestCase
TestHistories.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
