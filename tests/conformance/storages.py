"""The storages of the real inboxes: each test has one of its own, by its URL."""

from __future__ import annotations

import asyncio
from itertools import count

from hypothesis import settings

from kirimhook.backends import migrate_inbox, open_inbox
from kirimhook.receiver.inbox import Inbox
from kirimhook.testing.conformance import Storage

NUMBERS = count(1)
"""For names that nobody else has in this process."""


class AtURL(Storage):
    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url

    def inbox(self, **bounds: int) -> Inbox:
        return open_inbox(self.url, clock=self.clock, **bounds)


class Migrated(AtURL):
    """Made as an operator makes it, by `kirimhook migrate`."""

    async def prepare(self) -> None:
        await asyncio.to_thread(migrate_inbox, self.url)


def histories(number: int, steps: int = 40) -> settings:
    """So many for one run of the tests, each of at most so many steps."""
    return settings(max_examples=number, stateful_step_count=steps, deadline=None)
