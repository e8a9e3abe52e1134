"""Numbers of events, of which one transaction takes no more than so many."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def parts(numbers: Sequence[int], most: int) -> Iterator[list[int]]:
    """All of them once, lowest first, each part with at most `most`."""
    once = sorted(set(numbers))
    for start in range(0, len(once), most):
        yield once[start : start + most]
