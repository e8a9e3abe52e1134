"""Read and adopt: what is in one inbox can be carried to another, twice if need be, and nothing is handled again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from kirimhook.receiver.inbox import Filter, InboxUnavailable, PayloadPurged
from kirimhook.receiver.model import Done, EventState, Parked, Receipt, RetryAt, StoredEvent
from kirimhook.testing.conformance.bench import DAY, START, Bench, ids
from kirimhook.testing.conformance.operating import FINISHED, STATES, populate
from kirimhook.testing.conformance.suite import Suite, played, requires

NOW = int(START * 1000)
LATER = NOW + 60_000
ENDS = [state for state in STATES if state in FINISHED]


def elsewhere(bench: Bench, event_id: str, key: str | None = None, **changes: object) -> StoredEvent:
    """An event as another inbox shows it: due now, or ended a second ago."""
    state = changes.get("state", EventState.WAITING)
    usual: dict[str, object] = {
        "number": 7,
        "event": bench.event(event_id, key),
        "state": state,
        "attempts": 0,
        "due_at": None if state in FINISHED else bench.now,
        "finished_at": bench.now - 1_000 if state in FINISHED else None,
        "reason": None,
        "has_payload": True,
    }
    return StoredEvent(**{**usual, **changes})  # type: ignore[arg-type]  # of many types


def names(events: Sequence[StoredEvent]) -> list[str]:
    return [stored.event.event_id for stored in events]


class Copying(Suite):
    @played
    async def test_all_is_read_in_commit_order_by_pages_of_any_size(self, bench: Bench) -> None:
        assert await bench.inbox.read(0, 10) == []
        everything = (await populate(bench))[::-1]
        for page in (1, 2, 3, 100):
            assert await bench.read(page) == everything
        assert everything == (await bench.all())[::-1]
        assert [await bench.inbox.get(stored.number) for stored in everything] == everything
        numbers = [stored.number for stored in everything]
        assert numbers == sorted(set(numbers))

    @played
    async def test_reading_goes_on_where_it_was(self, bench: Bench) -> None:
        await bench.put(None, "a", "b")
        first, second = await bench.read()
        assert await bench.inbox.read(second.number, 10) == []
        await bench.put("k", "c")
        assert names(await bench.inbox.read(first.number, 10)) == ["b", "c"]
        assert names(await bench.inbox.read(first.number, 1)) == ["b"]

    @pytest.mark.parametrize("state", ENDS)
    @played
    async def test_what_ended_there_has_ended_here_and_is_never_handed_out(
        self, bench: Bench, state: EventState
    ) -> None:
        reason = "gave up: 1 → ∞" if state is EventState.PARKED else None
        there = elsewhere(bench, "a", "k", state=state, attempts=3, reason=reason)
        assert await bench.inbox.adopt([there]) == 1
        here = await bench.get("a")
        assert (here.event, here.state, here.reason) == (there.event, state, reason)
        assert (here.due_at, here.has_payload) == (None, True)
        if bench.can.completion_details or state is not EventState.DONE:
            assert (here.attempts, here.finished_at) == (3, there.finished_at)
        assert (await bench.inbox.stats()).counts[state] == 1
        await bench.put("k", "b")
        bench.clock.advance(DAY)
        assert ids(await bench.lease()) == [("b",)]

    @played
    async def test_what_waits_or_runs_there_waits_here(self, bench: Bench) -> None:
        running, later = EventState.RUNNING, bench.now + 60_000
        there = [
            elsewhere(bench, "due", attempts=2, reason="failed"),
            elsewhere(bench, "retry", attempts=1, due_at=later, reason="not yet"),
            elsewhere(bench, "running", "k", state=running, attempts=1, due_at=later),
            elsewhere(bench, "behind", "k", due_at=None),
        ]
        assert await bench.inbox.adopt(there) == 4
        shown = {
            stored.event.event_id: (stored.state, stored.attempts, bench.due(stored), stored.reason)
            for stored in await bench.all()
        }
        waiting = EventState.WAITING
        assert shown == {
            "due": (waiting, 2, bench.now, "failed"),
            "retry": (waiting, 1, later, "not yet"),
            "running": (waiting, 1, bench.now, None),
            "behind": (waiting, 0, None, None),
        }
        assert sorted([(one.event.event_id, one.attempt) for one in lease.run] for lease in await bench.lease()) == [
            [("due", 3)],
            [("running", 2), ("behind", 1)],
        ]
        bench.clock.advance(60)
        runs = [lease.run[0] for lease in await bench.lease()]
        assert ("retry", 2) in [(one.event.event_id, one.attempt) for one in runs]

    @played
    async def test_the_duplicates_of_what_was_adopted_are_told(self, bench: Bench) -> None:
        await bench.inbox.adopt([elsewhere(bench, state, state=state) for state in STATES])
        receipts = dict(zip(STATES, await bench.put(None, *STATES), strict=True))
        assert receipts.pop(EventState.PARKED) is Receipt.DUPLICATE_PARKED
        assert set(receipts.values()) == {Receipt.DUPLICATE}

    @played
    async def test_what_is_known_here_stays_as_it_is(self, bench: Bench) -> None:
        await bench.put("k", "a", "b")
        await bench.end(await bench.one(), Parked("here"), RetryAt(LATER, "here"))
        before = await bench.all()
        there = [elsewhere(bench, "a", "k"), elsewhere(bench, "b", "k", state=EventState.DONE)]
        assert await bench.inbox.adopt(there) == 0
        assert await bench.all() == before

    @played
    async def test_adopting_twice_is_once(self, bench: Bench) -> None:
        there = [elsewhere(bench, state, state=state, reason="r" if state == "parked" else None) for state in STATES]
        assert await bench.inbox.adopt([*there, there[0]]) == len(there)
        before, stats = await bench.all(), await bench.inbox.stats()
        assert await bench.inbox.adopt(there) == 0
        assert await bench.inbox.adopt([]) == 0
        assert await bench.all() == before
        assert (
            (await bench.inbox.stats()).counts
            == stats.counts
            == dict.fromkeys(STATES, 1)
            | {
                EventState.RUNNING: 0,
                EventState.WAITING: 2,
            }
        )

    @played
    async def test_half_done_and_repeated_it_is_whole_and_in_order(self, bench: Bench) -> None:
        there = [elsewhere(bench, f"{index:03}", "k", due_at=None if index else NOW) for index in range(300)]
        there[100:120] = [elsewhere(bench, f"{index:03}", "k", state=EventState.DONE) for index in range(100, 120)]
        assert await bench.inbox.adopt(there[:130]) == 130
        assert await bench.inbox.adopt(there[90:]) == 170
        assert names(await bench.read()) == names(there)
        seen: list[str] = []
        while leases := await bench.lease():
            seen += [one.event.event_id for one in leases[0].run]
            assert all(await bench.end(leases[0], *[Done()] * len(leases[0].run)))
        assert seen == names(there[:100] + there[120:])

    @requires("shared")
    @played
    async def test_broken_off_by_a_close_and_repeated_it_is_whole(self, bench: Bench) -> None:
        there = [elsewhere(bench, f"{index:03}", f"k{index % 5}", state=STATES[index % 6]) for index in range(600)]
        adopting = asyncio.ensure_future(bench.inbox.adopt(there))
        await asyncio.sleep(0)  # it has begun
        await bench.reopen()
        try:
            done = await adopting
        except InboxUnavailable:
            done = len(await bench.read())
        assert done + await bench.inbox.adopt(there) == 600
        assert names(await bench.read()) == names(there)

    @played
    async def test_an_adopted_key_keeps_its_order(self, bench: Bench) -> None:
        there = [
            elsewhere(bench, "a", "k", due_at=bench.now + 60_000, attempts=1),
            elsewhere(bench, "b", "k", due_at=None),
        ]
        await bench.put("z", "x")
        await bench.inbox.adopt([*there, elsewhere(bench, "y", "z")])
        await bench.put("k", "c")
        held = await bench.one()
        assert ids([held]) == [("x", "y")]
        assert (await bench.get("y")).due_at is None
        await bench.end(held, Done(), Done())
        assert await bench.lease() == []
        bench.clock.advance(60)
        assert ids(await bench.lease()) == [("a", "b", "c")]

    @played
    async def test_what_is_adopted_while_its_key_is_at_work_waits(self, bench: Bench) -> None:
        await bench.put("k", "a")
        held = await bench.one()
        await bench.inbox.adopt([elsewhere(bench, "b", "k"), elsewhere(bench, "c", state=EventState.DONE)])
        assert await bench.lease() == []
        await bench.end(held, Done())
        assert ids(await bench.lease()) == [("b",)]

    @played
    async def test_what_is_adopted_can_be_put_back(self, bench: Bench) -> None:
        await bench.inbox.adopt([elsewhere(bench, "a", "k", state=EventState.PARKED, attempts=9, reason="there")])
        assert await bench.inbox.put_back(Filter(event_id="a")) == 1
        (one,) = (await bench.one()).run
        assert (one.attempt, one.event) == (1, bench.event("a", "k"))

    @played
    async def test_a_body_that_was_gone_there_is_gone_here(self, bench: Bench) -> None:
        bare = bench.event("a", "k")._replace(body=b"")
        there = elsewhere(bench, "a", event=bare, state=EventState.DONE, has_payload=False)
        assert await bench.inbox.adopt([there]) == 1
        here = await bench.get("a")
        assert (here.event, here.has_payload) == (bare, False)
        with pytest.raises(PayloadPurged):
            await bench.inbox.put_back(Filter(numbers=(here.number,)))
        assert await bench.put("k", "a") == [Receipt.DUPLICATE]
        assert (await bench.inbox.stats()).counts[EventState.DONE] == 1

    @played
    async def test_every_field_is_as_it_was(self, bench: Bench) -> None:
        event = bench.event("é \xff", "k" * 256, body=bytes(range(256)), livemode=False, source="shop", problem="no")
        reason = "é→🙂\n" * 500
        there = elsewhere(bench, "", event=event, state=EventState.PARKED, reason=reason)
        await bench.inbox.adopt([there, elsewhere(bench, "b", state=EventState.PARKED, reason="\ud800 nul \0")])
        here, _ = await bench.read()
        assert (here.event, here.reason) == (event, reason)
        (found,) = await bench.all(Filter(event_id=event.event_id))
        assert found == here

    @played
    async def test_its_time_goes_on(self, bench: Bench) -> None:
        """What ended or arrived long ago is purged here when it would have been there."""
        event = bench.event("a", received_at=NOW)
        bench.clock.advance(20 * DAY)
        await bench.inbox.adopt([elsewhere(bench, "a", event=event, state=EventState.DONE, finished_at=NOW)])
        bench.clock.advance(12 * DAY)
        assert (await bench.inbox.purge(10)).records == 0
        bench.clock.advance(0.001)
        assert (await bench.inbox.purge(10)).records == 1
        assert await bench.all() == []

    @played
    async def test_it_ends_a_wait(self, bench: Bench) -> None:
        waiting = asyncio.create_task(bench.inbox.wait(60))
        await bench.inbox.stats()
        assert not waiting.done()
        await bench.inbox.adopt([elsewhere(bench, "a")])
        await waiting

    @played
    async def test_a_worker_beside_it_is_given_only_what_is_open(self, bench: Bench) -> None:
        there = [elsewhere(bench, f"{index:03}", f"k{index % 7}", state=STATES[index % 6]) for index in range(300)]
        adopting = asyncio.ensure_future(bench.inbox.adopt(there))
        seen: list[str] = []
        while True:
            over = adopting.done()
            for lease in await bench.lease():
                seen += [one.event.event_id for one in lease.run]
                assert all(await bench.end(lease, *[Done()] * len(lease.run)))
            if over:
                break
        assert await adopting == 300
        assert sorted(seen) == [one.event.event_id for one in there if one.state not in FINISHED]
