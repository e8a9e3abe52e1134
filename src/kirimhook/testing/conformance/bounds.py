"""Bounded memory: what waits, what is leased and what is listed has a limit, and what is over is let go."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc

from kirimhook.receiver.inbox import Filter, InboxBusy
from kirimhook.receiver.model import Done, InboundEvent, Receipt
from kirimhook.testing.conformance.bench import Bench
from kirimhook.testing.conformance.suite import Suite, played

FRESH = Receipt.FRESH
LARGE = 4 * 1024 * 1024
"""Bytes of the largest body that a receiver takes."""


async def put_at_once(bench: Bench, batches: list[list[InboundEvent]]) -> int:
    """How many batches were refused. Those are put again, one after the other."""
    puts = [bench.inbox.put(batch) for batch in batches]
    refused = 0
    for batch, result in zip(batches, await asyncio.gather(*puts, return_exceptions=True), strict=True):
        if isinstance(result, InboxBusy):
            assert (result.reason, result.retry_after) == ("queue_full", 1)
            refused += 1
            assert await bench.inbox.put(batch) == [FRESH] * len(batch)
        else:
            assert result == [FRESH] * len(batch)
    return refused


async def handle(bench: Bench, name: str, events: int) -> None:
    await bench.inbox.put([bench.event(f"{name} {i}", f"k{i % 9}", body=b"x" * 2_000) for i in range(events)])
    while leases := await bench.lease():
        for lease in leases:
            assert all(await bench.end(lease, *[Done()] * len(lease.run)))


class Bounding(Suite):
    @played
    async def test_past_what_may_wait_a_put_is_refused_and_can_be_repeated(self, bench: Bench) -> None:
        await bench.bounded(max_waiting=10)
        batches = [[bench.event(f"{batch} {index}") for index in range(10)] for batch in range(100)]
        assert await put_at_once(bench, batches) > 0
        assert await bench.inbox.count(Filter()) == 1_000

    @played
    async def test_past_the_bytes_that_may_wait_too(self, bench: Bench) -> None:
        await bench.bounded(max_waiting_bytes=1_000)
        assert await put_at_once(bench, [[bench.event(f"{index}", body=b"x" * 600)] for index in range(100)]) > 0
        assert await bench.inbox.count(Filter()) == 100

    @played
    async def test_what_is_larger_than_the_bounds_may_wait_alone(self, bench: Bench) -> None:
        await bench.bounded(max_waiting=10, max_waiting_bytes=1_000)
        assert await bench.put(None, *(f"{index}" for index in range(50))) == [FRESH] * 50
        assert await bench.inbox.put([bench.event("large", body=b"x" * 5_000)]) == [FRESH]

    @played
    async def test_a_run_has_a_limit(self, bench: Bench) -> None:
        await bench.put("k", *(f"{index}" for index in range(self.longest_run + 10)))
        assert len((await bench.one()).run) <= self.longest_run

    @played
    async def test_the_bodies_of_one_lease_have_a_limit(self, bench: Bench) -> None:
        events = self.most_bytes // LARGE + 3
        for index in range(events):
            await bench.inbox.put([bench.event(f"{index:02}", f"k{index % 2}", body=bytes([index]) * LARGE)])
        seen = []
        while leases := await bench.lease():
            assert sum(len(one.event.body) for lease in leases for one in lease.run[:-1]) <= self.most_bytes
            assert len([one for lease in leases for one in lease.run]) < events
            for lease in leases:
                seen += [(one.event.event_id, one.event.body[:1]) for one in lease.run]
                assert all(await bench.end(lease, *[Done()] * len(lease.run)))
        assert sorted(seen) == [(f"{index:02}", bytes([index])) for index in range(events)]

    @played
    async def test_a_page_has_a_limit(self, bench: Bench) -> None:
        await bench.put(None, *(f"{index}" for index in range(120)))
        for limit in (1, 25, 100):
            assert len((await bench.inbox.list(Filter(), limit)).events) == limit
            assert 1 <= len(await bench.inbox.read(0, limit)) <= limit
        assert len((await bench.inbox.list(Filter())).events) == 25

    @played
    async def test_what_is_over_is_let_go(self, bench: Bench) -> None:
        """2 400 events of 2 000 bytes later a handle holds no more than before, but for a little."""
        await handle(bench, "first", 300)
        tracemalloc.start()
        try:
            await handle(bench, "warm", 300)
            gc.collect()
            before, _ = tracemalloc.get_traced_memory()
            for name in range(8):
                await handle(bench, f"{name}", 300)
            gc.collect()
            after, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert after - before < 2_400 * 200
