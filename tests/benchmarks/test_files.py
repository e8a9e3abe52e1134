"""The prefilled files are what they say: finished in bulk has the rows that a worker leaves, and blocked is blocked."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks.bodies import BODY_BYTES, CUSTOMERS, bodies, waiting_events
from benchmarks.files import Files, fill, finish_all, stats, url
from benchmarks.scale import Scale
from kirimhook import open_inbox
from kirimhook.contract.events import read
from kirimhook.receiver.model import Done, EventState, Settlement

EVENTS = 300
TABLES = ("queue", "tally", "finished")


def rows(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """What finishing touches, without the times."""
    with closing(sqlite3.connect(path)) as connection:
        held = {table: connection.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall() for table in TABLES}
    held["finished"] = [(number, state, *rest) for number, state, _, *rest in held["finished"]]
    return held


async def work_off(path: Path) -> None:
    inbox = open_inbox(url(path))
    await inbox.open()
    try:
        while leases := await inbox.lease(100, 60):
            for lease in leases:
                following = [event.number for event in lease.run[1:]]
                for event, then in zip(lease.run, [*following, None], strict=True):
                    assert await inbox.settle([Settlement(lease.token, event.number, Done(), then)]) == [True]
    finally:
        await inbox.close()


def test_finishing_in_bulk_leaves_the_rows_that_a_worker_leaves(tmp_path: Path) -> None:
    in_bulk, worked_off = tmp_path / "bulk.db", tmp_path / "worked.db"
    for path in (in_bulk, worked_off):
        asyncio.run(fill(path, waiting_events(EVENTS, "past")))
    finish_all(in_bulk)
    asyncio.run(work_off(worked_off))
    assert rows(in_bulk) == rows(worked_off)
    assert len(rows(in_bulk)["finished"]) == EVENTS
    assert stats(in_bulk).counts[EventState.DONE] == EVENTS


def test_behind_a_head_in_backoff_nothing_is_due_but_the_others_are(tmp_path: Path) -> None:
    path = Files(tmp_path, Scale(blocked=EVENTS, waiting=EVENTS), lambda _: None).blocked_and_waiting()

    async def due() -> set[str]:
        inbox = open_inbox(url(path))
        await inbox.open()
        try:
            leases = await inbox.lease(2 * EVENTS, 60)
            return {event.event.event_id.partition("-")[0] for lease in leases for event in lease.run}
        finally:
            await inbox.close()

    assert stats(path).counts[EventState.WAITING] == 2 * EVENTS
    assert asyncio.run(due()) == {"waiting"}


def test_what_is_delivered_has_the_promised_size_and_mix() -> None:
    assert {len(body) for body in bodies()} == {BODY_BYTES} == {461}
    keys = [read(body).ordering_key for body in bodies()]
    assert len(set(keys) - {None}) == CUSTOMERS == 5_000
    assert keys.count(None) * 5 == len(keys)
    some = list(islice(waiting_events(EVENTS, "x"), EVENTS))
    assert len({event.dedupe_key for event in some}) == EVENTS
