"""Latencies run from when an event should have been sent to its first arrival, and percentiles are of what was seen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.sending.latencies import first_arrivals, latencies
from benchmarks.sending.receiving import Arrival


def test_the_first_arrival_counts_and_later_ones_do_not() -> None:
    arrivals = [Arrival(1.0, "wbd_1", 0), Arrival(2.0, "wbd_2", 0), Arrival(3.0, "wbd_1", 0)]
    assert first_arrivals(arrivals, {"wbd_1": "a", "wbd_2": "b"}) == {"a": 1.0, "b": 2.0}


def test_an_event_that_did_not_arrive_has_no_latency() -> None:
    with pytest.raises(KeyError):
        latencies({"a": 1.0, "b": 1.0}, {"a": 1.5})


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=300))
def test_percentiles_are_the_least_value_that_so_many_do_not_exceed(took_ms: list[int]) -> None:
    sent = {str(number): 100.0 for number in range(len(took_ms))}
    arrived = {str(number): 100.0 + took / 1000 for number, took in enumerate(took_ms)}
    found = latencies(sent, arrived)
    for value, percent in ((found.p50, 50), (found.p99, 99)):
        within = sum(took <= value + 1e-6 for took in took_ms)
        below = sum(took < value - 1e-6 for took in took_ms)
        assert within * 100 >= percent * len(took_ms) > below * 100
    assert found.most == pytest.approx(max(took_ms), abs=1e-6)
