"""A handle that is killed between any two of its writes leaves nothing that the next one does not put right."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from kirimhook.backends.jetstream import journal
from kirimhook.backends.jetstream.inbox import JetStreamInbox
from kirimhook.receiver.inbox import Filter, InboxUnavailable
from kirimhook.receiver.model import (
    Done,
    EventState,
    Outcome,
    Parked,
    Receipt,
    RetryAt,
    Settlement,
    Skipped,
    Unhandled,
)
from kirimhook.testing.nats import NatsCluster
from tests.backends.jetstream.handles import DAY, DyingLink, Handles, drain, events, handles, link_of
from tests.backends.jetstream.rig import NOW

ENDINGS: dict[str, Outcome] = {
    "parked": Parked("no"),
    "again": Parked("no"),
    "unhandled": Unhandled(),
    "skipped": Skipped(),
    "retry": RetryAt(NOW + 60_000, "later"),
}
NAMES = [*ENDINGS, "done", "late"]


async def live(inbox: JetStreamInbox, there: Handles) -> None:
    """Every kind of write: leases, all endings, renewals, put back, a purge, a pause, and snapshots in between."""
    await inbox.put(events(*NAMES[:4]) + events(*NAMES[4:], "behind", key="k"))
    leases = await inbox.lease(100, 30)
    await inbox.renew([(lease.token, lease.run[0].number) for lease in leases], 40)
    for lease in leases:
        one = lease.run[0]
        await inbox.settle([Settlement(lease.token, one.number, ENDINGS.get(one.event.event_id, Done()))])
    await inbox.put_back(Filter(event_id="again"))
    await inbox.pause()
    await inbox.resume()
    there.clock.advance(33 * DAY)
    while (await inbox.purge(2)).more:
        pass
    await drain(inbox)


async def play(node: NatsCluster, writes: float) -> int:
    """How many it made. The rest of the test is for the handle after it."""
    async with handles(node, partitions=2) as there:
        first = await there.open(DyingLink, commit_bound=1)
        link_of(first).left = writes
        with contextlib.suppress(InboxUnavailable):
            await live(first, there)
        made: int = link_of(first).writes
        if writes < float("inf"):
            link_of(first).left = 0
        there.clock.advance(60)
        second = await there.open()
        await heals(second, await put_all(second))
    return made


async def put_all(inbox: JetStreamInbox) -> list[Receipt]:
    """Until all are there: one that is being deleted is a duplicate until it is gone."""
    async with asyncio.timeout(10):
        while True:
            receipts = await inbox.put(events(*NAMES) + events("behind", key="k"))
            if await inbox.count(Filter()) == len(NAMES) + 1:
                return receipts


async def heals(inbox: JetStreamInbox, receipts: list[Receipt]) -> None:
    """What was stored is there, in one state; counts are a recount; what is due is handled, once."""
    await inbox.resume()
    shown = {one.event.event_id: one.state for one in (await inbox.list(Filter(), 100)).events}
    assert set(shown) == {*NAMES, "behind"}
    for name, receipt in zip([*NAMES, "behind"], receipts, strict=True):
        if shown[name] is EventState.PARKED:
            assert receipt is Receipt.DUPLICATE_PARKED
    for state in EventState:
        of_state = [name for name in shown if shown[name] is state]
        assert (await inbox.stats()).counts[state] == len(of_state)
        found = (await inbox.list(Filter(states=frozenset({state})), 100)).events
        assert sorted(one.event.event_id for one in found) == sorted(of_state)
    due = {name for name in shown if shown[name] in (EventState.WAITING, EventState.RUNNING)}
    handled = await drain(inbox)
    assert sorted(handled) == sorted(due)
    assert (await inbox.stats()).counts[EventState.WAITING] == 0


def test_whatever_write_was_the_last_one(node: NatsCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "ENOUGH_RECORDS", 3)

    async def all_of_them() -> int:
        made = await play(node, float("inf"))
        for writes in range(made):
            await play(node, writes)
        return made

    assert asyncio.run(all_of_them()) > 20
