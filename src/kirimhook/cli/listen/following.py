"""Shows what comes into an inbox, and what becomes of it: a line each time that an event changes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from typing import TextIO

from kirimhook.backends import open_inbox
from kirimhook.cli.event_shown import as_json
from kirimhook.cli.moments import span
from kirimhook.cli.output import printable
from kirimhook.receiver.inbox import Filter, InboxUnavailable
from kirimhook.receiver.model import FINISHED, EventState, StoredEvent

LOOK = 0.2
"""Seconds between two looks."""
MOST = 200
"""Events of one look."""
FOLLOWED = 1000
"""Unfinished events that are looked at again; the oldest is forgotten first."""
LONGEST_REASON = 120


class Following:
    """Through a handle of its own, so that the receiver's is left alone."""

    def __init__(self, url: str, lines: TextIO | None) -> None:
        """Writes JSON lines to `lines`; without it, text on stdout."""
        self._inbox = open_inbox(url)
        self._lines = lines
        self._open: dict[int, tuple[EventState | None, int]] = {}
        self._after = 0
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """From now on. Raises `InboxUnavailable`."""
        await self._inbox.open()
        newest = (await self._inbox.list(Filter(), 1)).events
        self._after = newest[0].number if newest else 0
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """After a last look."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            with contextlib.suppress(InboxUnavailable):
                await self._look()
        await self._inbox.close()

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(InboxUnavailable):  # the receiver says so itself
                await self._look()
            await asyncio.sleep(LOOK)

    async def _look(self) -> None:
        for number in list(self._open):
            stored = await self._inbox.get(number)
            if stored is None:
                self._open.pop(number)
            else:
                self._show(stored)
        while fresh := await self._inbox.read(self._after, MOST):
            for stored in fresh:
                self._after = stored.number
                self._show(stored)

    def _show(self, stored: StoredEvent) -> None:
        """Unless it was shown so."""
        over = stored.state in FINISHED
        as_it_is = (stored.state if over else None, stored.attempts)
        if self._open.get(stored.number) == as_it_is:
            return
        self._open[stored.number] = as_it_is
        if over:
            del self._open[stored.number]
        elif len(self._open) > FOLLOWED:
            del self._open[next(iter(self._open))]
        out = self._lines or sys.stdout
        data = as_text(stored) if self._lines is None else json.dumps(as_json(stored), ensure_ascii=False)
        out.write(data + "\n")
        out.flush()


def as_text(stored: StoredEvent) -> str:
    """When, what became of it, what it is; why, where it failed."""
    word = stored.state.value
    if stored.state not in FINISHED:
        word = "failed" if stored.attempts else "received"
    detail = ""
    if stored.reason:
        detail = f"  {stored.reason.strip().splitlines()[-1][:LONGEST_REASON]}"
    if word == "failed" and stored.due_at is not None:
        detail += f" (again in {span(max(0.0, stored.due_at / 1000 - time.time()))})"
    at = time.strftime("%H:%M:%S")
    return printable(f"{at}  {word:<9}  {stored.event.type:<22}  {stored.event.event_id}{detail}")
