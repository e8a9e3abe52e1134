"""Wait: back as soon as something may be due, and not before; and never later than it was told."""

from __future__ import annotations

import asyncio

from kirimhook.receiver.model import Done, RetryAt
from kirimhook.testing.conformance.bench import Bench, ids
from kirimhook.testing.conformance.suite import Suite, played, requires

LONG = 60.0
"""Longer than any of these tests may take: a wait that is not woken fails its test."""
SHORT = 0.15


async def begun(bench: Bench) -> asyncio.Task[None]:
    """A wait that has looked, and found nothing due."""
    waiting = asyncio.create_task(bench.inbox.wait(LONG))
    for _ in range(5):
        await bench.inbox.stats()
    assert not waiting.done()
    return waiting


async def ends_early(bench: Bench, timeout: float) -> bool:
    loop = asyncio.get_running_loop()
    begin = loop.time()
    await bench.inbox.wait(timeout)
    return loop.time() - begin < timeout * 0.9


class Waiting(Suite):
    @played
    async def test_what_is_due_is_not_waited_for(self, bench: Bench) -> None:
        await bench.put(None, "a")
        await bench.inbox.wait(LONG)

    @played
    async def test_it_ends_when_nothing_comes(self, bench: Bench) -> None:
        assert not await ends_early(bench, SHORT)
        await bench.put("k", "a", "b")
        await bench.one()  # held, and one behind it
        assert not await ends_early(bench, SHORT)

    @played
    async def test_a_put_ends_it(self, bench: Bench) -> None:
        waiting = await begun(bench)
        await bench.put(None, "a")
        await waiting

    @played
    async def test_a_put_ends_every_wait(self, bench: Bench) -> None:
        waiting = [await begun(bench) for _ in range(3)]
        await bench.put(None, "a")
        await asyncio.gather(*waiting)

    @played
    async def test_the_end_of_a_lease_ends_it(self, bench: Bench) -> None:
        await bench.put(None, "a")
        await bench.one(seconds=30)
        waiting = await begun(bench)
        bench.clock.advance(30)
        await waiting

    @played
    async def test_a_retry_that_is_due_ends_it(self, bench: Bench) -> None:
        await bench.put(None, "a")
        await bench.end(await bench.one(), RetryAt(bench.now + 60_000, "later"))
        waiting = await begun(bench)
        bench.clock.advance(60)
        await waiting
        assert ids(await bench.lease()) == [("a",)]

    @played
    async def test_a_settlement_that_frees_a_key_ends_it(self, bench: Bench) -> None:
        await bench.put("k", "a")
        lease = await bench.one()
        await bench.put("k", "b")
        waiting = await begun(bench)
        await bench.end(lease, Done())
        await waiting

    @played
    async def test_paused_it_waits_and_resumed_it_ends(self, bench: Bench) -> None:
        await bench.inbox.pause()
        await bench.put(None, "a")
        assert not await ends_early(bench, SHORT)
        waiting = await begun(bench)
        await bench.inbox.resume()
        await waiting

    @requires("shared")
    @played
    async def test_a_put_through_another_handle_ends_it(self, bench: Bench) -> None:
        other = await bench.another()
        waiting = await begun(bench)
        await other.put([bench.event("a")])
        await waiting
