"""Which events a put-back may name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from kirimhook.receiver.inbox import Filter
from kirimhook.receiver.model import FINISHED, EventState


def check(where: Filter) -> None:
    """Raises ValueError for a filter that names neither finished states nor events."""
    if not where.states and not where.numbers and where.event_id is None:
        raise ValueError("put back: name the states (parked, unhandled, skipped or done), or the events")
    if where.states and not where.states & FINISHED:
        raise ValueError("put back: only parked, unhandled, skipped and done events can be put back")


def states_meant(where: Filter) -> frozenset[EventState]:
    """Those of its states that are finished; all of them where it names none."""
    return (where.states & FINISHED) or FINISHED


def parts(where: Filter, most: int) -> Iterator[Filter]:
    """The same, each with at most `most` numbers."""
    numbers = sorted(set(where.numbers))
    for start in range(0, len(numbers), most):
        yield replace(where, numbers=tuple(numbers[start : start + most]))
    if not numbers:
        yield where
