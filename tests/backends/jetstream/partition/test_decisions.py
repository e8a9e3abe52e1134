"""Wishes of one batch see what those before them came to; what ran out, was woken or lost is told apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from kirimhook.backends.jetstream.partition.decide import Batch, Fresh, Taken
from kirimhook.backends.jetstream.partition.entry import Aside
from kirimhook.backends.jetstream.partition.lanes import Lane
from kirimhook.backends.jetstream.partition.record import Record
from kirimhook.backends.jetstream.partition.state import State
from kirimhook.receiver.model import Done, EventState, Outcome, Parked, Released, RetryAt, Settlement, SnoozeUntil

T = TypeVar("T")
NOW = 1_779_530_400_000
UNTIL = NOW + 30_000
LATER = UNTIL + 1
"""When a lease has run out."""


class Partition:
    def __init__(self, *lanes: int | None) -> None:
        """One event for each, 1 and up."""
        self.state = State()
        self.fresh = [Fresh(number, lane, NOW) for number, lane in enumerate(lanes, 1)]

    def batch(self, now: int = NOW) -> Batch:
        return Batch(self.state, self.fresh, now, "r")

    def apply(self, batch: Batch) -> None:
        record = batch.record()
        assert record is not None
        self.state.apply(Record.decode(record.encode()), self.state.sequence + 1)
        assert State.from_snapshot(self.state.to_snapshot()) == self.state

    def do(self, wish: Callable[[Batch], T], now: int = NOW) -> T:
        batch = self.batch(now)
        answer = wish(batch)
        self.apply(batch)
        return answer

    def lease(self, limit: int = 9, now: int = NOW) -> list[Taken]:
        """Under the moment as its token."""
        return self.do(lambda batch: batch.lease(limit, now + 30_000, now), now)

    def settle(self, number: int, outcome: Outcome, then: int | None = None, now: int = NOW) -> bool:
        return self.do(lambda batch: batch.settle([Settlement(now, number, outcome, then)]), now)[0]

    def crash(self, times: int, now: int = NOW) -> int:
        """Lease so often without an end; when the last one has run out."""
        for _ in range(times):
            self.lease(now=now)
            now += LATER - NOW
        return now


def runs(leases: Sequence[Taken]) -> list[list[int]]:
    return [[number for number, _ in taken.run] for taken in leases]


def test_an_end_clears_crashes_but_a_release_does_not() -> None:
    """A failure and a snooze are ends of an attempt that did not kill; what was released was not begun."""
    for outcome, crashes, attempts in ((RetryAt(NOW, "x"), 0, 2), (SnoozeUntil(NOW), 0, 1), (Released(), 1, 1)):
        partition = Partition(None)
        now = partition.crash(1)
        partition.lease(now=now)
        assert partition.settle(1, outcome, now=now)
        entry = partition.state.entries[1]
        assert (entry.crashes, entry.attempts) == (crashes, attempts)


def test_a_suspect_comes_alone_and_the_others_with_the_next_lease() -> None:
    partition = Partition(1, None, 1, None)
    now = partition.crash(2)
    batch = partition.batch(now)
    (first,) = batch.lease(9, now + 1, 5)
    assert first.suspect
    assert len(first.run) == 1
    (second,) = batch.lease(9, now + 1, 6)
    assert second.suspect
    assert second.run != first.run
    assert runs(batch.lease(9, now + 1, 7)) == [[4]]
    assert batch.lease(9, now + 1, 8) == []
    partition.apply(batch)


def test_what_does_not_follow_in_its_lane_gets_no_lease() -> None:
    """Then the lane goes on by itself."""
    partition = Partition(1, 2, 1)
    partition.lease()
    assert partition.settle(1, Done(), then=2)
    assert partition.state.entries[3].due == NOW
    assert partition.state.entries[3].token is None
    assert partition.state.entries[2].due == UNTIL


def test_what_was_woken_is_leased_by_the_same_record() -> None:
    """And is the head of its lane, which renews and goes on."""
    partition = Partition(1, 1, 1)
    partition.lease(1)
    batch = partition.batch()
    assert batch.settle([Settlement(NOW, 1, Done(), 2), Settlement(NOW, 2, Done())]) == [True, True]
    assert runs(batch.lease(9, UNTIL, 7)) == [[3]]
    partition.apply(batch)
    assert partition.state.lanes[1].head == 3
    assert partition.do(lambda batch: batch.renew([(7, 3)], UNTIL + 5)) == [True]


def test_a_lease_that_ran_out_can_still_be_settled_and_is_not_leased_then() -> None:
    partition = Partition(1, 1)
    partition.lease()
    batch = partition.batch(LATER)
    assert batch.settle([Settlement(NOW, 1, RetryAt(LATER + 60_000, "later"))]) == [True]
    assert batch.lease(9, LATER + 1, 7) == []
    assert batch.settle([Settlement(NOW, 1, Done())]) == [False]
    partition.apply(batch)
    assert list(partition.state.due_heads(LATER + 60_000)) == [(LATER + 60_000, 1)]


def test_a_renewal_wins_over_a_lease_that_comes_after_it() -> None:
    partition = Partition(None, 1, 1)
    partition.lease()
    batch = partition.batch(LATER)
    assert batch.renew([(NOW, 1), (NOW, 3), (7, 2)], LATER + 30_000) == [True, True, False]
    assert batch.lease(9, LATER + 1, 7) == []
    partition.apply(batch)


def test_what_is_due_twice_is_leased_once() -> None:
    partition = Partition(None, None)
    partition.lease()
    batch = partition.batch(LATER)
    assert batch.renew([(NOW, 1)] * 3, LATER) == [True] * 3
    assert sorted(runs(batch.lease(9, LATER + 9, 7))) == [[1], [2]]
    partition.apply(batch)


def test_what_is_fresh_came_before_what_is_put_back() -> None:
    """Of one ordering key: it was there first."""
    partition = Partition(1)
    partition.lease()
    partition.settle(1, Done())
    partition.fresh.append(Fresh(2, 1, NOW))
    partition.do(lambda batch: batch.put_back([(1, 1, EventState.DONE)], partition.state.sequence))
    assert runs(partition.lease()) == [[2, 1]]


def test_what_is_put_back_by_the_record_that_confirms_an_older_end_is_still_to_be_written() -> None:
    partition = Partition(None)
    partition.lease()
    partition.settle(1, Parked("broken"))
    as_of = partition.state.sequence
    batch = partition.batch()
    batch.confirm([(1, as_of)])
    assert batch.put_back([(1, None, EventState.PARKED)], as_of) == [True]
    partition.apply(batch)
    assert partition.state.aside_due == {1: Aside(as_of + 1, None)}


def test_a_clock_that_is_behind_does_not_hide_what_came() -> None:
    """Stored by a machine whose clock is ahead: due now."""
    partition = Partition()
    partition.fresh = [Fresh(1, None, NOW + 5_000)]
    assert runs(partition.lease()) == [[1]]


def test_nothing_wished_is_no_record() -> None:
    partition = Partition()
    batch = partition.batch()
    assert batch.lease(9, UNTIL, 7) == []
    assert batch.settle([Settlement(7, 1, Done())]) == [False]
    assert batch.renew([(7, 1)], UNTIL) == [False]
    batch.pause(False)
    assert batch.record() is None


def test_a_lane_is_as_long_as_what_is_in_it() -> None:
    lane = Lane(0)
    for number in range(1, 10_000):
        lane.add(number)
        assert not lane.remove(number - 1)
        assert len(lane) == 1
    assert len(lane._numbers) < 200
    assert lane.remove(9_999)
