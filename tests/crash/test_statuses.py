"""Contract section 3: `sent`, `delivered` and `read` of one message share its id, and are three events.

Over real HTTP: each is taken as new, a retry of each is a duplicate, before it was handled and after, and each is
completed once. The message itself, of the same id, is a fourth.
"""

from __future__ import annotations

import asyncio
from collections import Counter

from kirimhook.contract.samples import Sample
from tests.crash import ledger
from tests.crash.processes import Processes
from tests.crash.sender import Sender, of
from tests.crash.waiting import until

WAMID = "wamid.three-statuses"
STATUSES = ("message.status.sent", "message.status.delivered", "message.status.read")
EVENTS = [of(name, WAMID, 1) for name in ("message.received", *STATUSES)]


async def posted(url: str, some: list[Sample]) -> list[str]:
    async with Sender() as sender:
        replies = [await sender.post(url, sample) for sample in some]
    return [f"{reply.status} {reply.text}" if reply else "none" for reply in replies]


def handled(processes: Processes) -> list[tuple[str, str, int]]:
    """Type, state and number of effects of every event of this id, in the order in which they came."""
    sql = """
    SELECT type, state, (SELECT count(*) FROM effects WHERE effects.number = events.number)
    FROM events JOIN finished USING (number) WHERE event_id = ? ORDER BY number"""
    return [(name, state, effects) for name, state, effects in ledger.rows(processes.database, sql, WAMID)]


def test_three_statuses_of_one_message_are_three_events(processes: Processes) -> None:
    served = processes.serve("--no-worker")
    url = served.started()["url"]
    assert asyncio.run(posted(url, EVENTS)) == ["200 ok"] * 4
    assert asyncio.run(posted(url, EVENTS)) == ["200 duplicate-ack"] * 4, "a retry before it was handled"
    assert ledger.unfinished(processes.database) == 4

    processes.work()
    until(lambda: ledger.unfinished(processes.database) == 0, "the end of all work")
    assert asyncio.run(posted(url, EVENTS[::-1])) == ["200 duplicate-ack"] * 4, "a retry after it was handled"
    assert ledger.unfinished(processes.database) == 0
    assert handled(processes) == [("message.received", "done", 1), *[("message.status", "done", 1)] * 3]


def test_the_statuses_share_an_id_and_nothing_else_that_identifies_them() -> None:
    """Else the test above would show nothing."""
    assert Counter(event.event_id for event in EVENTS) == {WAMID: 4}
    assert Counter(event.type for event in EVENTS) == {"message.received": 1, "message.status": 3}
    assert len({event.body for event in EVENTS}) == 4
