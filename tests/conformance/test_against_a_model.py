"""Whatever is done to an inbox, in whatever order: it shows what a plain model of its promises shows.

States, attempts, reasons and due times of every event; runs in order, at most one holder of a key; counts.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from kirimhook.backends import open_inbox
from kirimhook.contract.events import dedupe_key
from kirimhook.receiver.inbox import Filter, PayloadPurged
from kirimhook.receiver.model import (
    Done,
    EventState,
    InboundEvent,
    Lease,
    Parked,
    Receipt,
    Released,
    RetryAt,
    Settlement,
    Skipped,
    SnoozeUntil,
    Unhandled,
)
from kirimhook.testing.clock import Clock
from tests.conformance.model import ENDS, FINISHED, Model

T = TypeVar("T")
Endings = list[tuple[Any, int]]
START = 1_779_530_400.0
KEYS = (None, "k", "l", "m")
arrivals = st.lists(st.integers(0, 39), min_size=1, max_size=8)
delays = st.sampled_from([0, 1, 60, 3_600])
outcomes = st.sampled_from([Done, Done, Done, Parked, RetryAt, SnoozeUntil, Released, Unhandled, Skipped])
endings = st.lists(st.tuples(outcomes, delays), min_size=1, max_size=4)
finished = st.frozensets(st.sampled_from(sorted(FINISHED)), min_size=1)


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = Clock(START)
        self.inbox = open_inbox("sqlite:///:memory:", clock=self.clock)
        self.run(self.inbox.open())
        self.model = Model(self.now)
        self.leases: list[Lease] = []

    def teardown(self) -> None:
        self.run(self.inbox.close())
        self.run(self.loop.shutdown_default_executor())
        self.loop.close()

    @property
    def now(self) -> int:
        return int(self.clock() * 1000)

    def run(self, verb: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(verb)

    @rule(names=arrivals)
    def put(self, names: list[int]) -> None:
        pairs = [(f"{name}", KEYS[name % len(KEYS)]) for name in names]
        receipts = self.run(self.inbox.put([self.event(*pair) for pair in pairs]))
        fresh = receipts.count(Receipt.FRESH)
        newest = self.run(self.inbox.list(Filter(), fresh)).events if fresh else []
        assert receipts == self.model.put(pairs, [stored.number for stored in reversed(newest)])

    def event(self, name: str, key: str | None) -> InboundEvent:
        kind, source, body = "message.received", "meta" if key else f"shop {name}", name.encode()
        identity = dedupe_key(source, name, kind, body)
        return InboundEvent(identity, name, kind, source, key, True, None, "wbd_1", self.now, body)

    @rule(limit=st.integers(1, 6), seconds=st.sampled_from([30, 600]))
    def lease(self, limit: int, seconds: int) -> None:
        leases = self.run(self.inbox.lease(limit, seconds))
        self.model.check_and_take(leases, limit, self.now + seconds * 1000)
        self.leases += leases

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), ends=endings, goes_on=st.booleans())
    def settle(self, data: st.DataObject, ends: Endings, goes_on: bool) -> None:
        """Of some lease, held or lost, from its beginning or from somewhere in it."""
        lease = self.leases[-1 - data.draw(st.integers(0, min(len(self.leases), 4) - 1))]
        first = data.draw(st.integers(0, len(lease.run) - 1))
        self.end(lease, first, ends, goes_on)

    @rule(limit=st.integers(1, 6), ends=endings, goes_on=st.booleans())
    def work(self, limit: int, ends: Endings, goes_on: bool) -> None:
        """Lease, and settle the same ends of each run."""
        before = len(self.leases)
        self.lease(limit, 30)
        for lease in self.leases[before:]:
            self.end(lease, 0, ends, goes_on)

    def end(self, lease: Lease, first: int, ends: Endings, goes_on: bool) -> None:
        some = [one.number for one in lease.run[first:]]
        settlements = []
        for position, (number, (kind, delay)) in enumerate(zip(some, ends, strict=False)):
            following = some[position + 1] if position + 1 < len(some) else None
            last = position + 1 == len(ends)
            then = following if kind in ENDS and (goes_on or not last) else None
            settlements.append(Settlement(lease.token, number, self.outcome(kind, delay), then))
        assert self.run(self.inbox.settle(settlements)) == [self.model.settle(one) for one in settlements]

    def outcome(self, kind: Any, delay: int) -> Any:
        at = self.now + delay * 1000
        given = {RetryAt: (at, f"retry {delay}"), SnoozeUntil: (at,), Parked: (f"parked {delay}",)}
        return kind(*given.get(kind, ()))

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        lease = data.draw(st.sampled_from(self.leases[-4:]))
        number = data.draw(st.sampled_from([one.number for one in lease.run]))
        (held,) = self.run(self.inbox.renew([(lease.token, number)], 90))
        assert held == self.model.renew(lease.token, number, self.now + 90_000)

    @rule(seconds=st.sampled_from([0.001, 29, 30, 31, 31, 601, 86_400, 8 * 86_400, 33 * 86_400]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.model.now = self.now

    @rule(states=finished)
    def put_back_states(self, states: frozenset[EventState]) -> None:
        assert self.run(self.inbox.put_back(Filter(states=states))) == self.model.put_back(set(), states)

    @precondition(lambda self: self.model.events)
    @rule(data=st.data(), states=st.just(frozenset()) | finished)
    def put_back_numbers(self, data: st.DataObject, states: frozenset[EventState]) -> None:
        numbers = data.draw(st.sets(st.sampled_from(sorted(self.model.events)), min_size=1, max_size=5))
        try:
            count = self.run(self.inbox.put_back(Filter(numbers=tuple(numbers), states=states)))
        except PayloadPurged:
            count = -1
        assert count == self.model.put_back(numbers, states)

    @rule(limit=st.integers(1, 6))
    def lease_while_paused(self, limit: int) -> None:
        self.run(self.inbox.pause())
        assert self.run(self.inbox.lease(limit, 30)) == []
        self.run(self.inbox.resume())

    @rule(limit=st.integers(1, 9))
    def purge(self, limit: int) -> None:
        payloads = records = 0
        more = True
        while more:
            removed = self.run(self.inbox.purge(limit))
            payloads, records, more = payloads + removed.payloads, records + removed.records, removed.more
        erased, gone = self.model.purge()
        assert records == gone
        assert erased - gone <= payloads <= erased  # a record takes its payload with it

    @invariant()
    def shows_what_the_model_shows(self) -> None:
        events = self.run(self.inbox.list(Filter(), 100)).events
        shown = [
            (one.number, one.event.event_id, one.state, one.attempts, one.due_at, one.finished_at, one.reason)
            for one in reversed(events)
        ]
        expected = [event.seen(self.now) for _, event in sorted(self.model.events.items())]
        assert [(*row, one.has_payload) for row, one in zip(shown, reversed(events), strict=True)] == expected
        counts = Counter(event.state(self.now) for event in self.model.events.values())
        assert self.run(self.inbox.stats()).counts == {state: counts[state] for state in EventState}


TestAgainstAModel = Machine.TestCase
TestAgainstAModel.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
