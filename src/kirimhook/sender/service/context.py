"""What all use cases work with: database, settings, sealer, time, chance."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kirimhook.contract import ids
from kirimhook.sender.numbering import consecutive

if TYPE_CHECKING:
    from kirimhook.sender.database import Database
    from kirimhook.sender.sealing import Sealer
    from kirimhook.settings import SenderSettings

CheckUrl = Callable[[str], Awaitable[None]]
"""Raises ApiError `invalid_webhook_url`."""


async def any_url(url: str) -> None:
    """Checks nothing. The dial vets again, whatever was accepted at creation."""


def nobody() -> None:
    """Wakes nobody: an engine looks for work by itself, every `settings.poll`."""


@dataclass(frozen=True, slots=True)
class Context:
    """`clock` gives seconds since the epoch, `randomness` so many random bytes.

    `published` is called after each commit that may have made work; from any thread.
    """

    database: Database
    settings: SenderSettings
    sealer: Sealer
    clock: Callable[[], float] = time.time
    randomness: Callable[[int], bytes] = os.urandom
    check_url: CheckUrl = any_url
    published: Callable[[], None] = nobody
    notify: bool = False
    """Whether somebody is told of dead letters: then each transaction that makes some writes down what to tell."""

    def now(self) -> int:
        """Milliseconds since the epoch."""
        return int(self.clock() * 1000)

    def new_id(self, prefix: str, now: int) -> str:
        return ids.make(prefix, now, self.randomness(ids.RANDOM_BYTES))

    def new_ids(self, prefix: str, now: int, count: int) -> list[str]:
        """So many ids, in ascending order."""
        return consecutive(prefix, now, self.randomness(ids.RANDOM_BYTES), count)
