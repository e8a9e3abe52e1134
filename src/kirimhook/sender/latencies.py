"""How long deliveries took, counted in buckets that grow by `GROWTH`: a quantile of many, in little room.

A quantile is off by less than 8 % of itself: each bucket stands for its geometric middle.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

GROWTH = 1.15
_PER_NEPER = 1 / math.log(GROWTH)


def bucket(ms: int) -> int:
    """The bucket of a time in whole milliseconds; 0 is that of 0, and of what a clock set back made negative."""
    return int(math.log(ms) * _PER_NEPER) + 1 if ms > 0 else 0


def middle(number: int) -> float:
    """What a bucket stands for, in milliseconds."""
    return GROWTH ** (number - 0.5) if number else 0.0


def quantile(counts: Mapping[int, int], share: float) -> float | None:
    """The least time, in milliseconds, that `share` (0 to 1] of them did not exceed; None of nothing. Nearest rank."""
    rank = math.ceil(share * sum(counts.values()))
    for number in sorted(counts):
        rank -= counts[number]
        if rank <= 0:
            return middle(number)
    return None
