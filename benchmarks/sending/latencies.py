"""How long deliveries took from publish to arrival."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import ceil
from typing import NamedTuple

from benchmarks.sending.receiving import Arrival


class Latencies(NamedTuple):
    """Milliseconds."""

    p50: float
    p99: float
    most: float


def latencies(sent: Mapping[str, float], arrived: Mapping[str, float]) -> Latencies:
    """Of every event that was sent; both by its id, in seconds. Raises KeyError for one that did not arrive."""
    took = sorted((arrived[name] - at) * 1000 for name, at in sent.items())
    return Latencies(_nearest(took, 0.5), _nearest(took, 0.99), took[-1])


def _nearest(ascending: list[float], part: float) -> float:
    return ascending[ceil(part * len(ascending)) - 1]


def first_arrivals(arrivals: Iterable[Arrival], events: Mapping[str, str]) -> dict[str, float]:
    """By the id of the event; `events` tells it for each delivery."""
    found: dict[str, float] = {}
    for arrival in arrivals:
        found.setdefault(events[arrival.delivery_id], arrival.at)
    return found
