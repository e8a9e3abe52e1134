"""Ids by the thousand are ULIDs of one millisecond, each the next after the one before."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kirimhook.contract import ids
from kirimhook.sender.numbering import consecutive

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def value(text: str) -> int:
    number = 0
    for digit in text:
        number = number * 32 + CROCKFORD.index(digit)
    return number


@given(
    st.integers(0, (1 << 48) - 1),
    st.one_of(st.binary(min_size=10, max_size=10), st.just(b"\xff" * 10), st.just(b"\x00" * 10)),
    st.integers(0, 2500),
)
def test_they_count_on_from_a_random_place(ms: int, randomness: bytes, count: int) -> None:
    made = consecutive("wbd_", ms, randomness, count)
    assert len(made) == count
    assert all(ids.is_id("wbd_", one) for one in made)
    numbers = [value(one.removeprefix("wbd_")) for one in made]
    assert numbers == list(range(numbers[0], numbers[0] + count)) if numbers else count == 0
    assert {number >> 80 for number in numbers} <= {ms}
    if count:
        drawn = int.from_bytes(randomness, "big") & (1 << 79) - 1
        assert numbers[0] & (1 << 79) - 1 == drawn


def test_a_time_past_48_bits_is_refused() -> None:
    with pytest.raises(ValueError):
        consecutive("wbd_", 1 << 48, bytes(10), 2)
