"""A lease and a settle take as many steps with 100 000 events that wait as with few; records and reasons are bounded.

Steps are calls, counted by the interpreter: a count is the same on every machine.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import pytest

from kirimhook.backends.jetstream.codec import Adopted
from kirimhook.backends.jetstream.partition.decide import (
    HEAVY,
    LONGEST_RUN,
    MOST_NOTED,
    Batch,
    Fresh,
    Taken,
    portions,
)
from kirimhook.backends.jetstream.partition.draft import LONGEST_REASON
from kirimhook.backends.jetstream.partition.record import Noted, Record
from kirimhook.backends.jetstream.partition.state import State
from kirimhook.receiver.model import Done, EventState, Parked, RetryAt, Settlement

NOW = 1_779_530_400_000
LARGEST_MESSAGE = 1024 * 1024
MANY = 100_000
T = TypeVar("T")


class Partition:
    """One writer, whose appends succeed."""

    def __init__(self, fresh: Iterable[Fresh] = ()) -> None:
        self.state = State()
        self.fresh = list(fresh)
        self.largest = 0

    def decide(self, wish: Callable[[Batch], T], now: int = NOW) -> T:
        ahead = [one for one in self.fresh[:MOST_NOTED] if one.number > self.state.noted]
        batch = Batch(self.state, ahead, now, "r")
        answer = wish(batch)
        record = batch.record()
        if record is not None:
            data = record.encode()
            self.largest = max(self.largest, len(data))
            self.state.apply(Record.decode(data), self.state.sequence + 1)
            self.fresh = self.fresh[sum(one.number <= self.state.noted for one in ahead) :]
        return answer

    def note_all(self) -> None:
        while self.fresh:
            self.decide(lambda batch: batch.note(MOST_NOTED))

    def lease(self, limit: int, now: int = NOW) -> list[Taken]:
        return self.decide(lambda batch: batch.lease(limit, now + 30_000, 7), now)

    def renew(self, held: list[tuple[int, int]], until: int) -> list[bool]:
        return self.decide(lambda batch: batch.renew(held, until))

    def settle(self, settlements: list[Settlement], now: int = NOW) -> None:
        assert all(self.decide(lambda batch: batch.settle(settlements), now))


def calls_of(work: Callable[[], object]) -> int:
    count = 0

    def profile(_frame: Any, event: str, _argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


def noted(entries: Iterable[Noted], upto: int) -> Partition:
    """As if batches had noted these."""
    partition = Partition()
    partition.state.apply(Record("r", upto, noted=tuple(entries)), 1)
    return partition


def blocked(followers: int) -> Partition:
    """One key waits for its retry with so many behind it; so many others wait for theirs."""
    later, last = NOW + 3_600_000, 2 * followers + 1
    behind = [Noted(number, 1, None) for number in range(2, followers + 2)]
    others = [Noted(number, number, later) for number in range(followers + 2, last + 1)]
    return noted([Noted(1, 1, later), *behind, *others], last)


def work_through(partition: Partition, events: int = 50) -> None:
    """Events of other keys come, are leased and settled one by one."""
    first = partition.state.noted + 1
    partition.fresh = [Fresh(number, -number, NOW) for number in range(first, first + events)]
    for _ in range(events):
        (taken,) = partition.lease(1)
        partition.settle([Settlement(7, taken.run[0][0], Done())])
    assert partition.lease(1) == []


def test_what_waits_does_not_slow_a_lease_or_a_settle() -> None:
    few, many = blocked(500), blocked(MANY)
    assert calls_of(lambda: work_through(many)) < 1.2 * calls_of(lambda: work_through(few))


def test_a_hot_key_drains_as_fast_however_long_it_is() -> None:
    def drain(partition: Partition) -> None:
        for _ in range(20):
            (taken,) = partition.lease(8)
            assert len(taken.run) == LONGEST_RUN
            numbers = [number for number, _ in taken.run]
            following = [*numbers[1:], None]
            partition.settle([Settlement(7, *pair) for pair in zip(numbers, [Done()] * 64, following, strict=True)])

    def hot(length: int) -> Partition:
        return noted([Noted(1, 1, NOW), *[Noted(number, 1, None) for number in range(2, length + 1)]], length)

    few, many = hot(LONGEST_RUN * 21), hot(MANY)
    assert calls_of(lambda: drain(many)) < 1.2 * calls_of(lambda: drain(few))


def test_renewals_leave_an_index_of_bounded_size() -> None:
    """Also while something that is due before them is left alone."""
    partition = Partition([Fresh(number, None, NOW) for number in range(1, 4)])
    held = [(taken.token, taken.run[0][0]) for taken in partition.lease(3)]
    partition.settle([Settlement(7, 3, RetryAt(NOW + 1, "later"))])
    for step in range(5_000):
        assert partition.renew(held, NOW + 30_000 + step) == [True, True, False]
    assert len(partition.state._heads._heap) < 2_000
    assert [number for _, number in partition.state.due_heads(NOW + 60_000)] == [3, 1, 2]


def test_a_backlog_is_noted_in_records_that_are_messages() -> None:
    """Not more of it than leases need, and a window."""
    partition = Partition([Fresh(number, number % 5_000 << 48, NOW) for number in range(1, 20_000)])
    partition.lease(256)
    assert 256 <= partition.state.noted < 256 + 2_048
    partition.note_all()
    assert partition.largest < LARGEST_MESSAGE / 4


@pytest.mark.parametrize("letter", ["a", "\0", "é", "🙂", "\ud800"])
def test_records_with_long_reasons_are_messages(letter: str) -> None:
    """Settled by portions until the record is heavy; every reason keeps its beginning and its end."""
    partition = Partition([Fresh(number, None, NOW) for number in range(1, 41)])
    partition.lease(40)
    reason = "begin" + letter * 100_000 + "end"
    settlements = [Settlement(7, number, RetryAt(NOW, reason)) for number in range(1, 41)]
    for portion in portions(settlements):
        partition.settle(list(portion))
    assert partition.largest < LARGEST_MESSAGE - 2 * HEAVY
    for entry in partition.state.entries.values():
        assert entry.reason is not None
        assert entry.reason.startswith("begin")
        assert entry.reason.endswith("end")
        assert len(entry.reason) < 6 * LONGEST_REASON


def test_portions_keep_the_order_and_lose_nothing() -> None:
    settlements = [Settlement(7, number, Parked("x" * 9_000) if number % 2 else Done()) for number in range(1_000)]
    parts = list(portions(settlements))
    assert [one for part in parts for one in part] == settlements
    assert len(parts) > 10
    assert list(portions([])) == []


def test_a_heavy_batch_says_so() -> None:
    partition = Partition([Fresh(number, None, NOW) for number in range(1, 1_000)])
    partition.lease(1_000)
    batch = Batch(partition.state, [], NOW, "r")
    for number in range(1, 31):
        assert not batch.is_heavy
        batch.settle([Settlement(7, number, Parked("x" * 8_000))])
    batch.settle([Settlement(7, number, Parked("x" * 8_000)) for number in range(31, 40)])
    assert batch.is_heavy


def test_adopted_events_with_long_reasons_are_noted_in_records_that_are_messages() -> None:
    reason = "\0" * 2 * LONGEST_REASON
    parked = Adopted(EventState.PARKED, 3, None, reason, NOW, has_payload=True)
    waiting = Adopted(EventState.WAITING, 3, NOW + 1, reason, None, has_payload=True)
    partition = Partition([Fresh(number, None, NOW, parked if number % 2 else waiting) for number in range(1, 41)])
    assert partition.lease(1) == []
    assert 0 < partition.state.noted < 5
    partition.note_all()
    assert partition.largest < LARGEST_MESSAGE - 2 * HEAVY
    assert len(partition.state.entries) == len(partition.state.aside_due) == 20


def test_what_is_confirmed_at_once_is_bounded() -> None:
    """The rest is left for the next record."""
    skipped = Adopted(EventState.SKIPPED, 0, None, None, NOW, has_payload=True)
    partition = Partition([Fresh(number, None, NOW, skipped) for number in range(1, 10_001)])
    partition.note_all()
    numbers = list(partition.state.aside_due)
    partition.decide(lambda batch: batch.remove([(number, EventState.SKIPPED) for number in numbers[:5_000]], 1_000))
    records = 0
    while partition.state.aside_due or partition.state.removal_due:
        partition.decide(lambda batch: batch.confirm([(n, one.as_of) for n, one in partition.state.aside_due.items()]))
        partition.decide(lambda batch: batch.gone(partition.state.removal_due))
        records += 1
    assert records == 2
    assert partition.largest < LARGEST_MESSAGE / 2
