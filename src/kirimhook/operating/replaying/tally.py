"""What came of deliveries that were to be replayed. No I/O."""

from __future__ import annotations

from typing import NamedTuple


class Tally(NamedTuple):
    """How many of each."""

    replayed: int = 0
    gone: int = 0
    """Purged, ended otherwise, erased, or replayed by somebody else since they were listed."""
    refused: int = 0
    """The API said no to this one alone."""
    unsure: int = 0
    """Interrupted so long ago that asking again could replay twice; left as they are."""

    @property
    def done(self) -> int:
        return sum(self)

    def plus(self, other: Tally) -> Tally:
        return Tally(*[mine + its for mine, its in zip(self, other, strict=True)])
