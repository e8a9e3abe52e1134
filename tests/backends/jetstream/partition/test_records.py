"""Records and snapshots say the same after a journey through bytes, and refuse what they do not know."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kirimhook.backends.jetstream.codec import Adopted, Tombstone
from kirimhook.backends.jetstream.partition.decide import Batch, Fresh
from kirimhook.backends.jetstream.partition.entry import Aside
from kirimhook.backends.jetstream.partition.record import Back, Ended, Leased, Moved, Noted, Record
from kirimhook.backends.jetstream.partition.state import REMEMBERED, State
from kirimhook.receiver.model import Done, EventState, Parked, RetryAt, Settlement, Skipped

Rows = list[tuple[Any, ...]]
T = TypeVar("T")
NOW = 1_779_530_400_000
numbers = st.integers(1, 2**53)
lanes = st.none() | st.integers(-(2**63), 2**63 - 1)
times = st.integers(0, 2**45)
tokens = st.integers(1, 2**62)
counts = st.integers(0, 100)
states = st.sampled_from(list(EventState))
texts = st.text(st.characters(exclude_categories=["Cs"]))


def many(*fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Rows]:
    return st.lists(st.tuples(*fields), max_size=4)


@given(
    noted=many(numbers, lanes, st.none() | times),
    back=many(numbers, lanes, st.none() | times, states),
    ended=many(numbers, states, times, counts, st.none() | texts),
    leased=many(tokens, times, st.lists(st.tuples(numbers, counts, counts), min_size=1, max_size=3)),
    moved=many(numbers, st.none() | times, st.none() | tokens, counts, counts),
    rest=st.fixed_dictionaries(
        {
            "id": texts,
            "upto": numbers,
            "reasons": many(numbers, texts).map(tuple),
            "done": st.lists(numbers).map(tuple),
            "erased": many(numbers, numbers).map(tuple),
            "removed": many(numbers, states).map(tuple),
            "confirmed": many(numbers, numbers).map(tuple),
            "gone": st.lists(numbers).map(tuple),
            "paused": st.none() | st.booleans(),
        }
    ),
)
def test_a_record_is_the_same_after_encode_and_decode(
    noted: Rows, back: Rows, ended: Rows, leased: Rows, moved: Rows, rest: dict[str, Any]
) -> None:
    record = Record(
        noted=tuple(Noted(*row) for row in noted),
        back=tuple(Back(*row) for row in back),
        ended=tuple(Ended(*row) for row in ended),
        leased=tuple(Leased(token, until, tuple(heads)) for token, until, heads in leased),
        moved=tuple(Moved(*row) for row in moved),
        **rest,
    )
    read = Record.decode(record.encode())
    assert read == record
    assert repr(read) == repr(record)  # the same types too: a state is a state, not its name


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"[]",
        b"null",
        b"{}",
        b'{"v":3,"id":"r","upto":1}',
        b'{"v":1,"id":"r"}',
        b'{"v":1,"id":"r","upto":1,"noted":3}',
        b'{"v":1,"id":"r","upto":1,"noted":[[1],[2]]}',
        b'{"v":1,"id":"r","upto":1,"ended":[[1],["lost"],[2],[0],[null]]}',
    ],
)
def test_what_is_no_record_is_refused(data: bytes) -> None:
    """A record of a newer version too: whoever does not know what it says must not go on."""
    with pytest.raises(ValueError, match="not a record of this journal"):
        Record.decode(data)


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", zlib.compress(b"{}"), zlib.compress(b"["), zlib.compress(b"[]"), State().to_snapshot()[:-3]],
)
def test_what_is_no_snapshot_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a snapshot of this journal"):
        State.from_snapshot(data)


def test_a_snapshot_of_a_newer_version_is_refused() -> None:
    said = json.loads(zlib.decompress(State().to_snapshot()))
    with pytest.raises(ValueError, match="version 3"):
        State.from_snapshot(zlib.compress(json.dumps(said | {"v": 3}).encode()))


def test_a_large_snapshot_is_complete() -> None:
    """100 000 unfinished events of 10 000 keys, some held, some waiting for a retry."""
    state = State()
    lanes = [number * 7_919 % 10_000 << 40 for number in range(100_000)]
    noted = [Noted(number, lane, None if number >= 10_000 else NOW) for number, lane in enumerate(lanes)]
    state.apply(Record("r", 100_000, noted=tuple(noted)), 1)
    leases = say(state, lambda batch: batch.lease(1_000, NOW + 30_000, 7))
    ends = [Settlement(7, one.run[0][0], RetryAt(NOW + 60_000, "later")) for one in leases[:500]]
    assert all(say(state, lambda batch: batch.settle(ends)))
    data = state.to_snapshot()
    assert len(state.entries) == 100_000
    assert State.from_snapshot(data) == state
    assert len(data) < 3 * 1024 * 1024


def test_who_does_not_know_how_to_erase_stops_at_what_erases() -> None:
    """The version before takes records and snapshots of version 1 only; all others it can go on reading."""
    state, sure = one_parked(), Tombstone(1, 3)
    assert json.loads(Record("r", 1).encode())["v"] == 1
    assert json.loads(zlib.decompress(state.to_snapshot()))["v"] == 1
    gone = Fresh(9, None, NOW, Adopted(EventState.PARKED, 1, None, None, NOW, has_payload=False), sure)
    batch = Batch(state, [], NOW, "r")
    assert batch.erase([gone]) == [True]
    record = batch.record()
    assert record is not None
    assert json.loads(record.encode())["v"] == 2
    state.apply(Record.decode(record.encode()), 4)
    assert json.loads(zlib.decompress(state.to_snapshot()))["v"] == 2


@pytest.mark.parametrize("since", [3, 1])
def test_a_tombstone_stands_for_what_is_known_not_to_have_changed(since: int) -> None:
    """Who starts from a snapshot does not know what changed before it: that one is to be deleted."""
    state = State.from_snapshot(one_parked().to_snapshot())
    found = Fresh(9, None, NOW, Adopted(EventState.PARKED, 1, None, None, NOW, has_payload=False), Tombstone(1, since))
    assert say(state, lambda batch: batch.erase([found])) == [since == 3]
    assert state.removal_due == ({1: EventState.PARKED} if since == 3 else {9: EventState.DONE})
    assert sum(state.tally.values()) == 2
    assert not state.explains({1}) if since == 3 else state.explains({1})


def one_parked() -> State:
    """Event 1 is parked as of record 3, event 2 done."""
    state = State()
    say(state, lambda batch: batch.lease(2, NOW + 1, 7), [Fresh(1, None, NOW), Fresh(2, None, NOW)])
    say(state, lambda batch: batch.settle([Settlement(7, 2, Done())]))
    say(state, lambda batch: batch.settle([Settlement(7, 1, Parked("broken"))]))
    return state


def say(state: State, wish: Callable[[Batch], T], fresh: Sequence[Fresh] = ()) -> T:
    batch = Batch(state, fresh, NOW, "r")
    answer = wish(batch)
    record = batch.record()
    if record is not None:
        state.apply(record, state.sequence + 1)
    return answer


def test_what_was_put_back_since_it_was_found_is_not_put_back_again() -> None:
    """Somebody found it parked; meanwhile it was put back and parked anew: they have to look again."""
    state = one_parked()
    found = state.sequence
    assert say(state, lambda batch: batch.put_back([(1, None, EventState.PARKED)], found)) == [True]
    say(state, lambda batch: batch.lease(1, NOW + 1, 8))
    say(state, lambda batch: batch.settle([Settlement(8, 1, Skipped())]))
    assert say(state, lambda batch: batch.put_back([(1, None, EventState.PARKED)], found)) == [False]
    assert say(state, lambda batch: batch.put_back([(1, None, EventState.SKIPPED)], state.sequence)) == [True]
    assert sum(state.tally.values()) == 1


def test_what_was_removed_since_it_was_found_is_not_put_back() -> None:
    state = one_parked()
    found = state.sequence
    assert say(state, lambda batch: batch.remove([(2, EventState.DONE)], found)) == [True]
    say(state, lambda batch: batch.gone([2, 3]))
    assert say(state, lambda batch: batch.put_back([(2, None, EventState.DONE)], found)) == [False]


def test_who_starts_from_a_snapshot_takes_nothing_for_unchanged_that_was_found_before_it() -> None:
    state = State.from_snapshot(one_parked().to_snapshot())
    wanted = [(1, None, EventState.PARKED)]
    assert say(state, lambda batch: batch.put_back(wanted, state.sequence - 1)) == [False]
    assert say(state, lambda batch: batch.put_back(wanted, state.sequence)) == [True]


def test_what_is_unfinished_or_not_noted_is_not_put_back() -> None:
    state = one_parked()
    say(state, lambda batch: batch.lease(1, NOW + 1, 9), [Fresh(3, None, NOW)])
    for number in (3, 4):
        wanted = [(number, None, EventState.DONE)]
        assert Batch(state, [], NOW, "r").put_back(wanted, state.sequence) == [False]
    twice = [(1, None, EventState.PARKED)] * 2
    assert say(state, lambda batch: batch.put_back(twice, state.sequence)) == [True, False]


def test_changes_are_remembered_for_a_while() -> None:
    """Beyond it, nobody is told that nothing changed."""
    state = State()
    for number in range(1, REMEMBERED + 3):
        state.apply(Record("r", number, removed=((number, EventState.DONE),)), number)
    assert state.was_changed(9_999_999, 1)
    assert not state.was_changed(9_999_999, 2)
    assert state.was_changed(3, 2)


def test_what_is_written_aside_is_due_until_just_that_is_confirmed() -> None:
    """Written as parked, put back meanwhile: that it was put back has still to be written."""
    state = one_parked()
    (number, aside), *_ = state.aside_due.items()
    assert (number, aside) == (1, Aside(3, Ended(1, EventState.PARKED, NOW, 1, "broken")))
    say(state, lambda batch: batch.put_back([(1, None, EventState.PARKED)], state.sequence))
    assert state.aside_due == {1: Aside(4, None)}
    say(state, lambda batch: batch.confirm([(1, 3)]))
    assert state.aside_due == {1: Aside(4, None)}
    say(state, lambda batch: batch.confirm([(1, 4)]))
    assert state.aside_due == {}


def test_a_removed_event_has_nothing_due_aside() -> None:
    state = one_parked()
    say(state, lambda batch: batch.remove([(1, EventState.PARKED)], state.sequence))
    assert state.aside_due == {}
    assert state.removal_due == {1: EventState.PARKED}
