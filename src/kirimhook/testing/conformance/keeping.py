"""Purge: what is past its retention goes, a little at a time; what is unfinished or parked never does."""

from __future__ import annotations

import pytest

from kirimhook.receiver.inbox import Filter, Purged
from kirimhook.receiver.model import (
    Done,
    EventState,
    Outcome,
    Parked,
    Receipt,
    RetryAt,
    Skipped,
    Unhandled,
)
from kirimhook.testing.conformance.bench import DAY, Bench, ids
from kirimhook.testing.conformance.suite import Suite, played, requires

GOING: list[Outcome] = [Done(), Unhandled(), Skipped()]


async def purge_all(bench: Bench, limit: int = 100, calls: int = 200) -> tuple[int, int]:
    """As often as there is more; payloads and records removed."""
    payloads = records = 0
    for _ in range(calls):
        purged = await bench.inbox.purge(limit)
        assert max(purged.payloads, purged.records) <= limit
        payloads, records = payloads + purged.payloads, records + purged.records
        if not purged.more:
            return payloads, records
    raise AssertionError("purge has more for ever")


class Keeping(Suite):
    @pytest.mark.parametrize("outcome", GOING, ids=lambda one: type(one).__name__)
    @played
    async def test_a_record_is_kept_for_its_time_and_goes(self, bench: Bench, outcome: Outcome) -> None:
        await bench.put("k", "a")
        await bench.finish(outcome)
        bench.clock.advance(32 * DAY)
        assert (await purge_all(bench))[1] == 0
        assert await bench.put("k", "a") == [Receipt.DUPLICATE]
        bench.clock.advance(0.001)
        assert (await purge_all(bench))[1] == 1
        assert await bench.all() == []
        assert sum((await bench.inbox.stats()).counts.values()) == 0
        assert await bench.put("k", "a") == [Receipt.FRESH]
        assert ids(await bench.lease()) == [("a",)]

    @requires("payload_retention")
    @pytest.mark.parametrize("outcome", GOING, ids=lambda one: type(one).__name__)
    @played
    async def test_first_the_payload_goes_then_the_record(self, bench: Bench, outcome: Outcome) -> None:
        event = bench.event("a", "k")
        await bench.inbox.put([event])
        await bench.finish(outcome)
        bench.clock.advance(7 * DAY)
        assert await purge_all(bench) == (0, 0)
        bench.clock.advance(0.001)
        assert await purge_all(bench) == (1, 0)
        stored = await bench.get("a")
        assert (stored.has_payload, stored.event) == (False, event._replace(body=b""))
        bench.clock.advance(25 * DAY - 0.001)
        assert await bench.inbox.put([event]) == [Receipt.DUPLICATE]
        assert await purge_all(bench) == (0, 0)
        bench.clock.advance(0.001)
        assert await purge_all(bench) == (0, 1)
        assert await bench.all() == []
        assert sum((await bench.inbox.stats()).counts.values()) == 0
        assert await bench.inbox.put([event]) == [Receipt.FRESH]

    @requires("payload_retention")
    @played
    async def test_the_payload_s_time_begins_at_the_end(self, bench: Bench) -> None:
        await bench.put(None, "a")
        lease = await bench.one(seconds=30 * DAY)
        bench.clock.advance(6 * DAY)
        await bench.end(lease, Done())
        bench.clock.advance(6 * DAY)
        assert await purge_all(bench) == (0, 0)
        bench.clock.advance(2 * DAY)
        assert await purge_all(bench) == (1, 0)

    @requires("payload_retention")
    @played
    async def test_an_event_that_ended_late_keeps_its_payload_as_long(self, bench: Bench) -> None:
        await bench.put(None, "a")
        await bench.finish(Parked("no"))
        bench.clock.advance(100 * DAY)
        await bench.inbox.put_back(Filter(event_id="a"))
        await bench.finish(Done())
        bench.clock.advance(6 * DAY)
        assert await purge_all(bench) == (0, 0)
        assert (await bench.get("a")).has_payload
        assert await bench.put(None, "a") == [Receipt.DUPLICATE]
        bench.clock.advance(2 * DAY)
        payloads, records = await purge_all(bench)
        assert (payloads + records >= 1, records) == (True, 1)

    @played
    async def test_parked_and_unfinished_events_stay_for_ever(self, bench: Bench) -> None:
        await bench.put(None, "parked")
        await bench.finish(Parked("no"))
        await bench.put("z", "retry")
        await bench.finish(RetryAt(bench.now + int(400 * DAY * 1000), "later"))
        await bench.put("k", "leased", "behind")
        await bench.lease(seconds=500 * DAY)
        await bench.put(None, "due")
        before = await bench.all()
        bench.clock.advance(399 * DAY)
        assert await purge_all(bench, limit=2) == (0, 0)
        assert await bench.all() == before
        assert await bench.put(None, "parked", "due") == [Receipt.DUPLICATE_PARKED, Receipt.DUPLICATE]
        assert ids(await bench.lease()) == [("due",)]

    @played
    async def test_a_purge_is_bounded_and_says_when_there_is_more(self, bench: Bench) -> None:
        await bench.put(None, *(f"{index}" for index in range(25)))
        await bench.finish()
        bench.clock.advance(33 * DAY)
        purged = await bench.inbox.purge(10)
        assert purged.records <= 10
        assert purged.more
        assert purged.records + (await purge_all(bench, 10))[1] == 25
        assert await bench.all() == []

    @requires("payload_retention")
    @played
    async def test_payloads_and_records_are_bounded_alike(self, bench: Bench) -> None:
        await bench.put(None, *(f"{index}" for index in range(25)))
        await bench.finish()
        bench.clock.advance(8 * DAY)
        assert await bench.inbox.purge(10) == Purged(10, 0, more=True)
        assert await purge_all(bench, 10) == (15, 0)
        bench.clock.advance(25 * DAY)
        assert await bench.inbox.purge(10) == Purged(0, 10, more=True)
        assert await purge_all(bench, 10) == (0, 15)

    @played
    async def test_a_purge_ends_behind_any_number_of_events_that_stay(self, bench: Bench) -> None:
        """Once round: 56 events by 7 are 9 calls, and however long the parked ones take is no reason for more."""
        await bench.put(None, *(f"parked {index}" for index in range(30)))
        await bench.finish(*[Parked("no")] * 30)
        await bench.put(None, *(f"done {index}" for index in range(26)))
        await bench.finish()
        bench.clock.advance(8 * DAY)
        payloads, _ = await purge_all(bench, 7, calls=9)
        assert payloads == (26 if bench.can.payload_retention else 0)
        assert await purge_all(bench, 7, calls=9) == (0, 0)
        bench.clock.advance(30 * DAY)
        assert await purge_all(bench, 7, calls=9) == (0, 26)
        assert {one.state for one in await bench.all()} == {EventState.PARKED}
        assert (await bench.inbox.stats()).counts[EventState.PARKED] == 30

    @played
    async def test_the_young_behind_the_old_stay(self, bench: Bench) -> None:
        await bench.put(None, "old")
        await bench.finish()
        bench.clock.advance(20 * DAY)
        await bench.put(None, "young")
        await bench.finish()
        bench.clock.advance(1 * DAY)
        assert await purge_all(bench) == (1 if bench.can.payload_retention else 0, 0)
        assert (await bench.get("young")).has_payload
        bench.clock.advance(12 * DAY)
        assert (await purge_all(bench))[1] == 1
        assert await bench.put(None, "young") == [Receipt.DUPLICATE]

    @played
    async def test_what_ends_after_a_purge_goes_with_the_next(self, bench: Bench) -> None:
        await bench.put(None, "late", "parked")
        bench.clock.advance(33 * DAY)
        for _ in range(2):
            assert await purge_all(bench, limit=1) == (0, 0)
        await bench.finish(Done(), Parked("no"))
        bench.clock.advance(8 * DAY)
        assert (await purge_all(bench, limit=1))[1] == 1
        assert [stored.event.event_id for stored in await bench.all()] == ["parked"]
