"""A quantile out of buckets is that of the times themselves, within 8 %; and buckets are in the order of time."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kirimhook.sender.latencies import bucket, middle, quantile

MONTH = 31 * 86_400_000
times = st.one_of(st.integers(0, 50), st.integers(0, MONTH), st.sampled_from([int(1.15**n) for n in range(150)]))


@given(st.lists(times, min_size=1, max_size=200), st.sampled_from([0.01, 0.5, 0.9, 0.99, 1.0]))
def test_a_quantile_is_within_eight_percent(taken: list[int], share: float) -> None:
    """Of the nearest rank among the sorted times."""
    exact = sorted(taken)[math.ceil(share * len(taken)) - 1]
    found = quantile(Counter(map(bucket, taken)), share)
    assert found is not None
    assert abs(found - exact) <= 0.08 * exact


@given(times, times)
def test_buckets_are_in_the_order_of_time(one: int, other: int) -> None:
    low, high = sorted((one, other))
    assert bucket(low) <= bucket(high)
    assert middle(bucket(low)) <= middle(bucket(high))


@pytest.mark.parametrize("set_back", [0, -1, -86_400_000])
def test_a_clock_that_was_set_back_makes_a_time_of_nothing(set_back: int) -> None:
    assert quantile({bucket(set_back): 1}, 0.5) == 0.0


def test_of_nothing_there_is_no_quantile() -> None:
    assert quantile({}, 0.99) is None
