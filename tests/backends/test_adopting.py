"""What a SQLite file adopts is whole in it, however much there is and whatever was there before."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from kirimhook.receiver.inbox import Filter, Inbox
from kirimhook.receiver.model import Done, EventState, Parked, RetryAt, StoredEvent
from tests.backends.inboxes import end, event, opened, outside, stored_ids


async def filled(inbox: Inbox) -> list[StoredEvent]:
    """600 events of several keys, in every state."""
    await inbox.put([event(f"{index:03}", f"k{index % 9}") for index in range(600)])
    for outcome, events in ((Done(), 20), (Parked("no"), 20), (RetryAt(10**13, "later"), 1), (Done(), 20)):
        for lease in await inbox.lease(2, 30):
            await end(inbox, lease._replace(run=lease.run[:events]), outcome)
    await inbox.lease(2, 30)
    return await inbox.read(0, 1_000)


def test_a_copy_of_a_file_is_whole_and_has_what_the_file_has(tmp_path: Path) -> None:
    async def play() -> None:
        async with opened(tmp_path / "from.db") as source, opened(tmp_path / "to.db") as target:
            there = await filled(source)
            assert {one.state for one in there} == set(EventState) - {EventState.UNHANDLED, EventState.SKIPPED}
            await target.put([event("400", "k4"), event("only here", "k1")])
            assert await target.adopt(there) == 599
            assert await target.adopt(there) == 0
            for state in (EventState.DONE, EventState.PARKED):
                where = Filter(states=frozenset({state}))
                assert await target.count(where) == await source.count(where)

    asyncio.run(play())
    assert len(stored_ids(tmp_path / "to.db")) == 601


def test_what_did_not_commit_is_not_half_there(tmp_path: Path) -> None:
    """Of a part, all is stored or nothing: here its last event cannot be."""

    async def play() -> None:
        async with opened(tmp_path / "from.db") as source, opened(tmp_path / "to.db") as target:
            there = await filled(source)
            broken = StoredEvent(1, there[0].event, EventState.DONE, 1, None, 1, object(), True)  # type: ignore[arg-type]  # the wrong type is the test
            with pytest.raises(AttributeError):
                await target.adopt([*there[1:20], broken])
            with outside(tmp_path / "to.db") as connection:
                assert connection.execute("SELECT count(*) FROM events").fetchone() == (0,)
            assert await target.adopt(there) == 600

    asyncio.run(play())
    assert stored_ids(tmp_path / "to.db") == [f"{index:03}" for index in range(600)]
