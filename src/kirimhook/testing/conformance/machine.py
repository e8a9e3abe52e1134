"""Whatever is done to an inbox, in whatever order: it shows what a plain model of its promises shows.

    def test_against_a_model(server):
        check(lambda: MyStorage(server), settings(max_examples=50, stateful_step_count=40, deadline=None))

States, attempts, reasons and due times of every event; runs in order, at most one holder of a key; counts; what is
adopted, erased and known; bookmarks; where handles can share a storage, a second one acts now and then. Needs
hypothesis, which prints the steps of the shortest history that fails.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from kirimhook.contract.events import dedupe_key
from kirimhook.receiver.inbox import Filter, Inbox, PayloadPurged, Transaction
from kirimhook.receiver.model import (
    FINISHED,
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
    StoredEvent,
    Unhandled,
)
from kirimhook.testing.conformance.bench import Storage
from kirimhook.testing.conformance.model import Model, Shown, settlements_of

try:
    from hypothesis import settings
    from hypothesis import strategies as st
    from hypothesis.stateful import (
        RuleBasedStateMachine,
        invariant,
        precondition,
        rule,
        run_state_machine_as_test,
    )
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "kirimhook.testing.conformance.machine needs hypothesis: pip install hypothesis"
    ) from error

T = TypeVar("T")
Endings = list[tuple[Any, int]]
KEYS = (None, "k", "l", "m")
MOST = 100
"""Events of one page; a history has fewer."""

arrivals = st.lists(st.integers(0, 39), min_size=1, max_size=8)
delays = st.sampled_from([0, 1, 60, 3_600])
outcomes = st.sampled_from([Done, Done, Done, Parked, RetryAt, SnoozeUntil, Released, Unhandled, Skipped])
endings = st.lists(st.tuples(outcomes, delays), min_size=1, max_size=4)
finished = st.frozensets(st.sampled_from(sorted(FINISHED)), min_size=1)
places = st.sampled_from([None, None, "", "a", "b"])
adopted = st.lists(
    st.tuples(st.integers(0, 39), st.sampled_from(list(EventState)), st.sampled_from([None, 0, 60]), st.booleans()),
    min_size=1,
    max_size=5,
)


class HandlerBroke(Exception):
    """What a handler of a history raises."""


def check(storage: Callable[[], Storage], how: settings | None = None) -> None:
    """Play random histories, each on a new storage; raises AssertionError for one that the model does not have."""

    class OnNewStorage(Machine):
        def __init__(self) -> None:
            super().__init__(storage())

    run_state_machine_as_test(OnNewStorage, settings=how)


class Machine(RuleBasedStateMachine):
    """One history on one storage."""

    def __init__(self, storage: Storage) -> None:
        super().__init__()
        self.storage = storage
        self.loop = asyncio.new_event_loop()
        self.run(storage.prepare())
        self.inbox = self.opened()
        self.can = self.inbox.capabilities
        self.other = self.opened() if self.can.shared else self.inbox
        self.model = Model(self.now, self.can)
        self.leases: list[Lease] = []

    def opened(self) -> Inbox:
        inbox = self.storage.inbox()
        self.run(inbox.open())
        return inbox

    def teardown(self) -> None:
        for inbox in (self.inbox, self.other):
            self.run(inbox.close())
        self.run(self.storage.clean())
        self.run(self.loop.shutdown_default_executor())
        self.loop.close()

    @property
    def now(self) -> int:
        return int(self.storage.clock() * 1000)

    def run(self, verb: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(verb)

    @precondition(lambda self: self.can.shared)
    @rule()
    def the_other_handle_goes_on(self) -> None:
        self.inbox, self.other = self.other, self.inbox

    @rule(names=arrivals)
    def put(self, names: list[int]) -> None:
        pairs = [(f"{name}", KEYS[name % len(KEYS)]) for name in names]
        receipts = self.run(self.inbox.put([self.event(*pair) for pair in pairs]))
        assert receipts == self.model.put(pairs, self.new_numbers(receipts.count(Receipt.FRESH)))

    def new_numbers(self, count: int) -> list[int]:
        fresh = self.run(self.inbox.read(self.model.last, MOST))
        assert len(fresh) == count
        return [stored.number for stored in fresh]

    def event(self, name: str, key: str | None) -> InboundEvent:
        kind, source, body = "message.received", "meta" if key else f"shop {name}", name.encode()
        identity = dedupe_key(source, name, kind, body)
        return InboundEvent(identity, name, kind, source, key, True, None, "wbd_1", self.now, body)

    @rule(events=adopted)
    def adopt(self, events: list[tuple[int, EventState, int | None, bool]]) -> None:
        there = [self.elsewhere(number, *event) for number, event in enumerate(events, 1)]
        count = self.run(self.inbox.adopt(there))
        assert count == self.model.adopt(there, self.new_numbers(count))

    def elsewhere(self, number: int, name: int, state: EventState, due: int | None, payload: bool) -> StoredEvent:
        over = state in FINISHED
        gone = over and state is not EventState.PARKED and not payload
        event = self.event(f"{name}", KEYS[name % len(KEYS)])
        return StoredEvent(
            number,
            event._replace(body=b"") if gone else event,
            state,
            attempts=name % 3,
            due_at=None if over or due is None else self.now + due * 1000,
            finished_at=self.now if over else None,
            reason=f"adopted {name}" if state in (EventState.PARKED, EventState.WAITING) else None,
            has_payload=not gone,
        )

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
        settlements = settlements_of(lease, first, ends, goes_on, self.now)
        assert self.run(self.inbox.settle(settlements)) == [self.model.settle(one) for one in settlements]

    @precondition(lambda self: self.can.transactions and self.leases)
    @rule(data=st.data(), breaks=st.booleans(), goes_on=st.booleans())
    def transact(self, data: st.DataObject, breaks: bool, goes_on: bool) -> None:
        lease = self.leases[-1 - data.draw(st.integers(0, min(len(self.leases), 4) - 1))]
        first = data.draw(st.integers(0, len(lease.run) - 1))
        following = lease.run[first + 1].number if goes_on and first + 1 < len(lease.run) else None
        done = Settlement(lease.token, lease.run[first].number, Done(), following)

        def handler(transaction: Transaction) -> None:
            assert transaction.execute("SELECT 1") == [(1,)]
            if breaks:
                raise HandlerBroke

        try:
            held = self.run(self.inbox.transact(done, handler))
        except HandlerBroke:
            assert breaks  # and nothing has changed, as the invariant sees
        else:
            assert held == self.model.settle(done)
            assert not (held and breaks)

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        lease = data.draw(st.sampled_from(self.leases[-4:]))
        number = data.draw(st.sampled_from([one.number for one in lease.run]))
        (held,) = self.run(self.inbox.renew([(lease.token, number)], 90))
        assert held == self.model.renew(lease.token, number, self.now + 90_000)

    @rule(seconds=st.sampled_from([0.001, 29, 30, 31, 31, 601, 86_400, 8 * 86_400, 33 * 86_400]))
    def time_passes(self, seconds: float) -> None:
        self.storage.clock.advance(seconds)
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
        for inbox in (self.inbox, self.other):
            assert self.run(inbox.lease(limit, 30)) == []
        self.run(self.inbox.resume())

    @rule(limit=st.integers(1, 9))
    def purge(self, limit: int) -> None:
        payloads = records = 0
        more = True
        while more:
            removed = self.run(self.inbox.purge(limit))
            payloads, records, more = payloads + removed.payloads, records + removed.records, removed.more
        left = {stored.number for stored in self.run(self.inbox.read(0, MOST))}
        assert records == len(self.model.events) - len(left)
        self.model.purge(payloads, left)

    @precondition(lambda self: self.model.events)
    @rule(data=st.data())
    def erase(self, data: st.DataObject) -> None:
        numbers = data.draw(st.lists(st.sampled_from(sorted(self.model.events)), min_size=1, max_size=5))
        assert self.run(self.inbox.erase(numbers)) == self.model.erase(set(numbers))

    @rule(names=arrivals)
    def known(self, names: list[int]) -> None:
        asked = [self.event(f"{name}", KEYS[name % len(KEYS)]).dedupe_key for name in names]
        known = [self.model.known(f"{name}") for name in names]
        states = [None if event is None else event.state(self.now) for event in known]
        assert self.run(self.inbox.known(asked)) == states

    @rule(name=st.sampled_from(["here", "there"]), was=places, to=places)
    def move_bookmark(self, name: str, was: str | None, to: str | None) -> None:
        assert self.run(self.inbox.move_bookmark(name, was, to)) == self.model.move_bookmark(name, was, to)
        assert self.run(self.other.bookmark(name)) == self.model.bookmarks.get(name)

    @rule(page=st.integers(1, 30))
    def read(self, page: int) -> None:
        numbers = [0]
        while found := self.run(self.inbox.read(numbers[-1], page)):
            numbers += [stored.number for stored in found]
        assert numbers[1:] == sorted(self.model.events)

    @invariant()
    def shows_what_the_model_shows(self) -> None:
        events = self.run(self.inbox.list(Filter(), MOST)).events
        shown = [Shown.of(stored, self.now).promised(self.can) for stored in reversed(events)]
        expected = [event.shown(self.now).promised(self.can) for _, event in sorted(self.model.events.items())]
        assert shown == expected
        counts = Counter(event.state(self.now) for event in self.model.events.values())
        assert self.run(self.inbox.stats()).counts == {state: counts[state] for state in EventState}
