"""Inbox files with a past, made once per run and copied for each round."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path

from benchmarks.bodies import waiting_events
from benchmarks.scale import Scale
from kirimhook import open_inbox
from kirimhook.receiver.inbox import Inbox, Stats
from kirimhook.receiver.model import EventState, InboundEvent, RetryAt, Settlement

BATCH = 2_000
"""Events of one put; an inbox bounds how many may wait."""
BACKOFF_MS = 24 * 3_600_000
BUSY_KEY = "wa:106540352242922:6289999999999"
FINISH_ALL = (
    "BEGIN IMMEDIATE",
    "INSERT INTO finished (number, state, at, attempts) SELECT number, 'done', :now, attempts + 1 FROM queue",
    "DELETE FROM queue",
    "UPDATE tally SET events = (SELECT count(*) FROM finished WHERE finished.state = tally.state)",
    "COMMIT",
)
"""Leaves the rows that leasing and settling leave; a test compares them."""


class InvalidRunError(Exception):
    """The inbox does not hold what it should: what was measured counts for nothing."""


class Files:
    """Ways to a fresh copy of each kind of file, in one folder. A kind is made when it is first asked for."""

    def __init__(self, folder: Path, scale: Scale, progress: Callable[[str], None]) -> None:
        self._folder = folder
        self._scale = scale
        self._progress = progress
        self._made: set[str] = set()

    def empty(self) -> Path:
        return self._fresh()

    def finished(self) -> Path:
        return self._copy("finished", self._make_finished)

    def waiting(self) -> Path:
        return self._copy("waiting", self._make_waiting)

    def finished_and_waiting(self) -> Path:
        return self._copy("finished_and_waiting", self._make_finished_and_waiting)

    def blocked_and_waiting(self) -> Path:
        return self._copy("blocked_and_waiting", self._make_blocked_and_waiting)

    def _make_finished(self, path: Path) -> None:
        asyncio.run(fill(path, waiting_events(self._scale.finished, "past")))
        finish_all(path)
        expect(path, {EventState.DONE: self._scale.finished})

    def _make_waiting(self, path: Path) -> None:
        asyncio.run(fill(path, waiting_events(self._scale.waiting, "waiting")))
        expect(path, {EventState.WAITING: self._scale.waiting})

    def _make_finished_and_waiting(self, path: Path) -> None:
        shutil.copyfile(self.finished(), path)
        asyncio.run(fill(path, waiting_events(self._scale.waiting, "waiting")))
        expect(path, {EventState.DONE: self._scale.finished, EventState.WAITING: self._scale.waiting})

    def _make_blocked_and_waiting(self, path: Path) -> None:
        asyncio.run(fill(path, waiting_events(self._scale.blocked, "blocked", BUSY_KEY)))
        asyncio.run(back_off(url(path)))
        asyncio.run(fill(path, waiting_events(self._scale.waiting, "waiting")))
        expect(path, {EventState.WAITING: self._scale.blocked + self._scale.waiting})

    def _copy(self, kind: str, make: Callable[[Path], None]) -> Path:
        kept = self._folder / f"{kind}.kept"
        if kind not in self._made:
            self._progress(f"preparing a file: {kind.replace('_', ' ')}")
            make(kept)
            self._made.add(kind)
        fresh = self._fresh()
        shutil.copyfile(kept, fresh)
        _flush(fresh)
        return fresh

    def _fresh(self) -> Path:
        """One inbox at a time: the last one goes."""
        for old in self._folder.glob("inbox.db*"):
            old.unlink()
        return self._folder / "inbox.db"


def _flush(path: Path) -> None:
    """Or the kernel writes the copy back while something is measured."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


async def fill(path: Path, events: Iterable[InboundEvent]) -> None:
    """Through the inbox's own verb, without waiting for the disk."""
    await put_all(f"{url(path)}?synchronous=OFF", events)


async def put_all(inbox_url: str, events: Iterable[InboundEvent]) -> None:
    """Through the inbox's own verb."""
    inbox = open_inbox(inbox_url)
    await inbox.open()
    try:
        left = iter(events)
        while batch := list(islice(left, BATCH)):
            await inbox.put(batch)
    finally:
        await inbox.close()


async def back_off(inbox_url: str) -> None:
    """Its only head fails, and is due again tomorrow."""
    inbox = open_inbox(inbox_url)
    await inbox.open()
    try:
        held = (await inbox.lease(1, 60))[0]
        later = RetryAt(int(time.time() * 1000) + BACKOFF_MS, "benchmark")
        await inbox.settle([Settlement(held.token, held.run[0].number, later)])
    finally:
        await inbox.close()


def finish_all(path: Path) -> None:
    """As if every event had been handled: leasing a million one by one takes too long."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        for statement in FINISH_ALL:
            connection.execute(statement, {"now": int(time.time() * 1000)} if ":now" in statement else ())
    finally:
        connection.close()


def url(path: Path) -> str:
    return f"sqlite:///{path}"


def stats(path: Path) -> Stats:
    """What the inbox in this file says that it holds."""
    return stats_at(url(path))


def stats_at(inbox_url: str) -> Stats:
    async def ask(inbox: Inbox) -> Stats:
        await inbox.open()
        try:
            return await inbox.stats()
        finally:
            await inbox.close()

    return asyncio.run(ask(open_inbox(inbox_url)))


def expect(path: Path, counts: dict[EventState, int]) -> None:
    """Raises InvalidRunError unless the inbox in this file holds just these."""
    expect_at(url(path), counts)


def expect_at(inbox_url: str, counts: dict[EventState, int]) -> None:
    held = {state: count for state, count in stats_at(inbox_url).counts.items() if count}
    if held != {state: count for state, count in counts.items() if count}:
        raise InvalidRunError(f"the inbox holds {held}, not {counts}")
