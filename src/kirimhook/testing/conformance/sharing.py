"""Several handles on one storage, as several processes have them, one after the other or at once."""

from __future__ import annotations

import asyncio

from kirimhook.receiver.inbox import Filter, Inbox
from kirimhook.receiver.model import Done, EventState, InboundEvent, Parked, Receipt, RetryAt, Settlement
from kirimhook.testing.conformance.bench import Bench, ids, settlements
from kirimhook.testing.conformance.suite import Suite, played, requires


async def put_each(inbox: Inbox, events: list[InboundEvent]) -> list[Receipt]:
    receipts = await asyncio.gather(*(inbox.put([event]) for event in events))
    return [receipt for one in receipts for receipt in one]


async def drain(inbox: Inbox) -> list[tuple[int, str | None]]:
    """Handle what is due until there is nothing: number and key of each event, as they were handled."""
    handled: list[tuple[int, str | None]] = []
    while leases := await inbox.lease(3, 30):
        for lease in leases:
            assert all(await inbox.settle(settlements(lease, *[Done()] * len(lease.run))))
            handled += [(one.number, one.event.ordering_key) for one in lease.run]
    return handled


class Sharing(Suite):
    @requires("shared")
    @played
    async def test_what_one_stores_the_other_has(self, bench: Bench) -> None:
        other = await bench.another()
        await bench.put("k", "a", "b")
        assert await other.put([bench.event("a", "k"), bench.event("c", "k")]) == [Receipt.DUPLICATE, Receipt.FRESH]
        assert ids(await other.lease(10, 30)) == [("a", "b", "c")]
        assert await bench.lease() == []
        assert (await bench.inbox.stats()).counts == (await other.stats()).counts
        assert (await bench.inbox.list(Filter())).events == (await other.list(Filter())).events

    @requires("shared")
    @played
    async def test_both_put_the_same_at_once_and_each_is_stored_once(self, bench: Bench) -> None:
        other = await bench.another()
        events = [bench.event(f"{index}", f"k{index % 5}") for index in range(100)]
        here, there = await asyncio.gather(put_each(bench.inbox, events), put_each(other, events[::-1]))
        for mine, theirs in zip(here, there[::-1], strict=True):
            assert {mine, theirs} == {Receipt.FRESH, Receipt.DUPLICATE}
        assert await bench.inbox.count(Filter()) == 100

    @requires("shared")
    @played
    async def test_both_work_at_once_and_each_is_handled_once_in_order(self, bench: Bench) -> None:
        other = await bench.another()
        for index in range(100):
            await bench.put(f"k{index % 7}", f"{index}")
        here, there = await asyncio.gather(drain(bench.inbox), drain(other))
        numbers = [number for number, _ in here + there]
        assert len(numbers) == len(set(numbers)) == 100
        for handled in (here, there):
            for key in {key for _, key in handled}:
                of_key = [number for number, mine in handled if mine == key]
                assert of_key == sorted(of_key)

    @requires("shared")
    @played
    async def test_a_lease_that_the_other_took_over_is_lost(self, bench: Bench) -> None:
        other = await bench.another()
        await bench.put("k", "a", "b")
        lost = await bench.one(seconds=30)
        bench.clock.advance(31)
        (taken,) = await other.lease(10, 30)
        assert await bench.end(lost, Done(), Done()) == [False, False]
        assert await bench.inbox.renew([(lost.token, lost.run[0].number)], 30) == [False]
        assert await other.settle(settlements(taken, Done(), Done())) == [True, True]

    @requires("shared")
    @played
    async def test_a_pause_is_for_all(self, bench: Bench) -> None:
        other = await bench.another()
        await bench.put(None, "a")
        await other.pause()
        assert await bench.lease() == []
        await bench.inbox.resume()
        assert ids(await other.lease(10, 30)) == [("a",)]

    @requires("shared")
    @played
    async def test_reopening_finds_everything_as_it_was(self, bench: Bench) -> None:
        await bench.put(None, "done", "parked", "retry")
        await bench.finish(Done(), Parked("no"), RetryAt(bench.now + 60_000, "later"))
        await bench.put("k", "held", "behind")
        held = await bench.one(seconds=30)
        await bench.inbox.pause()
        before, stats = await bench.all(), await bench.inbox.stats()
        cursor = (await bench.inbox.list(Filter(), 2)).next_cursor
        await bench.reopen()
        assert await bench.all() == before
        again = await bench.inbox.stats()
        assert (again.counts, again.paused) == (stats.counts, True)
        assert (await bench.inbox.list(Filter(), 100, cursor)).events == before[2:]
        assert await bench.put(None, "done", "parked") == [Receipt.DUPLICATE, Receipt.DUPLICATE_PARKED]
        await bench.inbox.resume()
        assert await bench.lease() == []
        number = held.run[0].number
        assert await bench.inbox.settle([Settlement(held.token, number, Done())]) == [True]
        assert ids(await bench.lease()) == [("behind",)]

    @requires("shared")
    @played
    async def test_what_is_put_while_closing_is_there_or_was_refused(self, bench: Bench) -> None:
        puts = [asyncio.ensure_future(bench.put(None, f"{index}")) for index in range(50)]
        await asyncio.sleep(0)  # each has handed its event over
        await bench.reopen()
        assert await asyncio.gather(*puts) == [[Receipt.FRESH]] * 50
        assert await bench.inbox.count(Filter(states=frozenset({EventState.WAITING}))) == 50
