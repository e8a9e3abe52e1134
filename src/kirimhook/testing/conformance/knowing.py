"""Known: what an inbox holds is told by dedupe key, in the order asked, and of nothing else."""

from __future__ import annotations

from kirimhook.contract.events import MESSAGE_STATUS
from kirimhook.receiver.inbox import Filter
from kirimhook.receiver.model import Done, EventState, Parked, RetryAt
from kirimhook.testing.conformance.bench import DAY, Bench
from kirimhook.testing.conformance.operating import populate
from kirimhook.testing.conformance.suite import Suite, played


class Knowing(Suite):
    @played
    async def test_nothing_is_known_of_what_never_came(self, bench: Bench) -> None:
        assert await bench.inbox.known([]) == []
        assert await bench.inbox.known([bench.event("a").dedupe_key, b""]) == [None, None]

    @played
    async def test_every_state_is_told_as_it_stands(self, bench: Bench) -> None:
        everything = await populate(bench)
        keys = [stored.event.dedupe_key for stored in everything]
        assert await bench.inbox.known(keys) == [stored.state for stored in everything]

    @played
    async def test_the_answers_are_in_the_order_asked_also_of_a_key_asked_twice(self, bench: Bench) -> None:
        await bench.put(None, "a")
        await bench.finish(Parked("no"))
        await bench.put(None, "b")
        parked, waiting, unknown = (bench.event(name).dedupe_key for name in ("a", "b", "c"))
        asked = [unknown, waiting, parked, waiting, unknown, parked]
        expected = [None, EventState.WAITING, EventState.PARKED, EventState.WAITING, None, EventState.PARKED]
        assert await bench.inbox.known(asked) == expected

    @played
    async def test_a_state_is_told_as_it_changes(self, bench: Bench) -> None:
        keys = [bench.event("a").dedupe_key]
        await bench.put(None, "a")
        lease = await bench.one(seconds=30)
        assert await bench.inbox.known(keys) == [EventState.RUNNING]
        bench.clock.advance(31)
        assert await bench.inbox.known(keys) == [EventState.WAITING]
        lease = await bench.one()
        await bench.end(lease, RetryAt(bench.now + 1_000, "later"))
        assert await bench.inbox.known(keys) == [EventState.WAITING]
        bench.clock.advance(2)
        await bench.finish(Done())
        assert await bench.inbox.known(keys) == [EventState.DONE]
        await bench.inbox.put_back(Filter(event_id="a"))
        assert await bench.inbox.known(keys) == [EventState.WAITING]

    @played
    async def test_the_statuses_of_one_message_are_told_apart(self, bench: Bench) -> None:
        sent, read = (bench.event("wamid.1", type=MESSAGE_STATUS, body=body) for body in (b'{"s":1}', b'{"s":2}'))
        await bench.inbox.put([sent])
        asked = [sent.dedupe_key, read.dedupe_key, sent.dedupe_key[:16]]
        assert await bench.inbox.known(asked) == [EventState.WAITING, None, None]

    @played
    async def test_sources_are_told_apart(self, bench: Bench) -> None:
        ours, theirs = bench.event("1", source="kirim"), bench.event("1", source="shop")
        await bench.inbox.put([theirs])
        assert await bench.inbox.known([ours.dedupe_key, theirs.dedupe_key]) == [None, EventState.WAITING]

    @played
    async def test_what_was_purged_is_not_known(self, bench: Bench) -> None:
        await bench.put(None, "a")
        await bench.finish()
        bench.clock.advance(33 * DAY)
        while (await bench.inbox.purge(100)).more:
            pass
        assert await bench.inbox.known([bench.event("a").dedupe_key]) == [None]

    @played
    async def test_many_are_told_at_once(self, bench: Bench) -> None:
        await bench.put(None, *(f"{number}" for number in range(300)))
        keys = [bench.event(f"{number}").dedupe_key for number in range(600)]
        assert await bench.inbox.known(keys) == [EventState.WAITING] * 300 + [None] * 300
