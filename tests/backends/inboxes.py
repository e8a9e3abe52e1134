"""What these tests share: events, an opened inbox on a file, and looks at the file from outside."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

from kirimhook.backends import open_inbox
from kirimhook.contract.events import dedupe_key
from kirimhook.receiver.inbox import Inbox
from kirimhook.receiver.model import InboundEvent, Lease, Outcome
from kirimhook.testing.clock import Clock
from kirimhook.testing.conformance.bench import settlements

START = 1_779_530_400.0


def event(event_id: str, key: str | None = None, body: bytes = b"{}") -> InboundEvent:
    identity = dedupe_key("meta", event_id, "message.received", body)
    return InboundEvent(
        identity, event_id, "message.received", "meta", key, True, None, "wbd_1", int(START * 1000), body
    )


@contextlib.asynccontextmanager
async def opened(path: Path, clock: Clock | None = None, **options: Any) -> AsyncIterator[Inbox]:
    inbox = open_inbox(f"sqlite:///{path}", clock=clock or Clock(START), **options)
    try:
        await inbox.open()
        yield inbox
    finally:
        await inbox.close()


async def end(inbox: Inbox, lease: Lease, outcome: Outcome) -> None:
    assert all(await inbox.settle(settlements(lease, *[outcome] * len(lease.run))))


async def until(holds: Callable[[], bool]) -> None:
    """Of what another thread does, and tells nobody."""
    while not holds():
        await asyncio.to_thread(os.sched_yield)


@contextlib.contextmanager
def outside(path: Path) -> Iterator[sqlite3.Connection]:
    """Another program's connection to the file."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=10)
    try:
        yield connection
    finally:
        connection.close()


def stored_ids(path: Path) -> list[str]:
    """In commit order. Of a file that is whole, and in which everything about every event is there or nothing."""
    with outside(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        for sql in UNEVEN:
            assert connection.execute(sql).fetchall() == []
        return [name for (name,) in connection.execute("SELECT event_id FROM events ORDER BY number")]


UNEVEN = [
    "SELECT number FROM events WHERE number NOT IN (SELECT number FROM queue UNION ALL SELECT number FROM finished)",
    "SELECT number FROM queue WHERE number IN (SELECT number FROM finished)",
    "SELECT number FROM queue WHERE number NOT IN (SELECT number FROM payloads)",
    """SELECT number FROM queue UNION SELECT number FROM finished UNION SELECT number FROM payloads
    EXCEPT SELECT number FROM events""",
    """SELECT state, events FROM tally
    EXCEPT SELECT state, (SELECT count(*) FROM finished f WHERE f.state = tally.state) FROM tally""",
    # one row of a lane is due or leased, and the others wait behind it
    "SELECT lane FROM queue WHERE lane IS NOT NULL GROUP BY lane HAVING count(visible_at) <> 1",
    "SELECT number FROM queue WHERE visible_at IS NULL AND (lane IS NULL OR token IS NOT NULL)",
]


@contextlib.contextmanager
def writer_lock_held(path: Path) -> Iterator[None]:
    """As another process holds it while it writes."""
    descriptor = os.open(f"{path}-lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
