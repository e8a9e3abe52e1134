"""Replaying what was found to be missing: what a run needs of it, and what came of it. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from kirimhook.operating.reconciling.plan import Wanted


class Replayed(NamedTuple):
    """How many letters were replayed, were gone or replayed by others meanwhile, and were refused by the provider."""

    replayed: int = 0
    gone: int = 0
    refused: int = 0

    def plus(self, other: Replayed) -> Replayed:
        return Replayed(self.replayed + other.replayed, self.gone + other.gone, self.refused + other.refused)


NOTHING = Replayed()


class Replayer(Protocol):
    """Replays many letters, so that an interruption at any point repeats none and skips none.

    Both verbs raise what the client raises, OSError, sqlite3.Error.
    """

    async def finish(self) -> Replayed:
        """What an earlier run was interrupted in. Nothing, where there is nothing."""
        ...

    async def replay(self, wanted: Sequence[Wanted]) -> Replayed: ...
