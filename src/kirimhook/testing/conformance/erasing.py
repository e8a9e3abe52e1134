"""Erase: what says whom a finished event is about goes; its record stays, so that nothing is handled again."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from kirimhook.contract.events import MESSAGE_STATUS
from kirimhook.receiver.inbox import Filter, PayloadPurged
from kirimhook.receiver.model import (
    Done,
    EventState,
    Outcome,
    Parked,
    Receipt,
    RetryAt,
    Skipped,
    StoredEvent,
    Unhandled,
)
from kirimhook.testing.conformance.bench import DAY, Bench, ids
from kirimhook.testing.conformance.keeping import purge_all
from kirimhook.testing.conformance.operating import FINISHED, meant, populate
from kirimhook.testing.conformance.suite import Suite, played, requires

ENDINGS: list[Outcome] = [Done(), Parked("for 6281234567890"), Unhandled(), Skipped()]


def erased(stored: StoredEvent) -> StoredEvent:
    """What is left of it."""
    event = stored.event._replace(event_id="", delivery_id="", ordering_key=None, body=b"")
    return replace(stored, event=event, reason=None, has_payload=False)


class Erasing(Suite):
    @pytest.mark.parametrize("outcome", ENDINGS, ids=lambda one: type(one).__name__)
    @played
    async def test_an_erased_event_says_nothing_of_whom_it_was_about(self, bench: Bench, outcome: Outcome) -> None:
        await bench.put("wa:1:6281234567890", "a")
        await bench.finish(outcome)
        before = await bench.get("a")
        assert await bench.inbox.erase([before.number]) == 1
        after = erased(before)
        assert await bench.inbox.get(before.number) == after
        assert await bench.all() == [after]
        assert await bench.read() == [after]
        assert (await bench.inbox.stats()).counts[after.state] == 1

    @pytest.mark.parametrize("outcome", ENDINGS, ids=lambda one: type(one).__name__)
    @played
    async def test_what_comes_again_is_a_duplicate_still(self, bench: Bench, outcome: Outcome) -> None:
        await bench.put("k", "a")
        await bench.finish(outcome)
        stored = await bench.get("a")
        await bench.inbox.erase([stored.number])
        parked = isinstance(outcome, Parked)
        assert await bench.put("k", "a") == [Receipt.DUPLICATE_PARKED if parked else Receipt.DUPLICATE]
        assert await bench.inbox.known([bench.event("a").dedupe_key]) == [stored.state]
        assert await bench.lease() == []
        assert await bench.all() == [erased(stored)]

    @played
    async def test_the_statuses_of_one_message_stay_apart(self, bench: Bench) -> None:
        bodies = (b'{"s":"sent"}', b'{"s":"delivered"}', b'{"s":"read"}')
        sent, delivered, read = (bench.event("wamid.1", type=MESSAGE_STATUS, body=body) for body in bodies)
        await bench.inbox.put([sent, delivered])
        await bench.finish()
        assert await bench.inbox.erase([stored.number for stored in await bench.all()]) == 2
        receipts = await bench.inbox.put([sent, delivered, read])
        assert receipts == [Receipt.DUPLICATE, Receipt.DUPLICATE, Receipt.FRESH]

    @played
    async def test_what_is_not_finished_is_left_as_it_is(self, bench: Bench) -> None:
        everything = await populate(bench)
        finished = [stored for stored in everything if stored.state in FINISHED]
        assert await bench.inbox.erase([stored.number for stored in everything]) == len(finished)
        assert await bench.all() == [erased(stored) if stored in finished else stored for stored in everything]
        assert ids(await bench.lease()) == [("due",)]

    @played
    async def test_what_is_retried_is_left_and_handled_whole(self, bench: Bench) -> None:
        await bench.put("k", "a", "b")
        lease = await bench.one()
        await bench.end(lease, RetryAt(bench.now + 1_000, "later"))
        assert await bench.inbox.erase([one.number for one in lease.run]) == 0
        bench.clock.advance(1)
        assert [one.event for one in (await bench.one()).run] == [one.event for one in lease.run]

    @played
    async def test_others_of_its_key_are_left_as_they_are(self, bench: Bench) -> None:
        await bench.put("k", "a", "b", "c")
        await bench.finish()
        await bench.put("k", "d", "e")
        c, b, a = (await bench.all())[2:]
        before = await bench.all()
        assert await bench.inbox.erase([b.number]) == 1
        assert await bench.all() == [*before[:2], c, erased(b), a]
        assert ids(await bench.lease()) == [("d", "e")]

    @played
    async def test_it_cannot_be_put_back(self, bench: Bench) -> None:
        await bench.put("k", "a")
        await bench.put(None, "b", "c")
        await bench.finish(*[Parked("no")] * 3)
        number = (await bench.get("a")).number
        await bench.inbox.erase([number])
        with pytest.raises(PayloadPurged):
            await bench.inbox.put_back(Filter(numbers=(number,)))
        assert await bench.inbox.put_back(Filter(states=frozenset({EventState.PARKED}))) == 2
        assert ids(await bench.lease()) == [("b",), ("c",)]
        assert (await bench.inbox.stats()).counts[EventState.PARKED] == 1

    @played
    async def test_a_second_erase_finds_nothing(self, bench: Bench) -> None:
        await bench.put("k", "a", "b")
        await bench.finish()
        b, a = await bench.all()
        assert await bench.inbox.erase([]) == 0
        assert await bench.inbox.erase([a.number]) == 1
        assert await bench.inbox.erase([a.number]) == 0
        assert await bench.inbox.erase([]) == 0
        assert await bench.inbox.erase([a.number, b.number]) == 1
        assert await bench.all() == [erased(b), erased(a)]

    @played
    async def test_numbers_that_nobody_has_or_that_come_twice_harm_nothing(self, bench: Bench) -> None:
        await bench.put(None, "a", "b")
        await bench.finish()
        b, a = await bench.all()
        assert await bench.inbox.erase([await bench.unknown(), a.number, 0, a.number, a.number]) == 1
        assert await bench.all() == [b, erased(a)]

    @requires("payload_retention")
    @played
    async def test_one_without_a_body_loses_its_ids(self, bench: Bench) -> None:
        await bench.put("k", "a")
        await bench.finish()
        bench.clock.advance(8 * DAY)
        assert await purge_all(bench) == (1, 0)
        stored = await bench.get("a")
        assert await bench.inbox.erase([stored.number]) == 1
        assert await bench.all() == [erased(stored)]

    @played
    async def test_its_record_goes_in_its_time(self, bench: Bench) -> None:
        await bench.put("k", "a", "parked")
        await bench.finish(Done(), Parked("no"))
        numbers = [stored.number for stored in await bench.all()]
        assert await bench.inbox.erase(numbers) == 2
        bench.clock.advance(32 * DAY)
        assert await purge_all(bench) == (0, 0)
        assert await bench.put("k", "a") == [Receipt.DUPLICATE]
        bench.clock.advance(0.001)
        assert await purge_all(bench) == (0, 1)
        assert [stored.state for stored in await bench.all()] == [EventState.PARKED]
        assert await bench.put("k", "a", "parked") == [Receipt.FRESH, Receipt.DUPLICATE_PARKED]

    @played
    async def test_it_is_listed_and_counted_as_before(self, bench: Bench) -> None:
        everything = await populate(bench)
        before = (await bench.inbox.stats()).counts
        await bench.inbox.erase([stored.number for stored in everything])
        assert (await bench.inbox.stats()).counts == before
        filters = [
            *(Filter(states=frozenset({state})) for state in EventState),
            Filter(types=("contact.*",)),
            Filter(types=("message.status",)),
            Filter(numbers=tuple(stored.number for stored in everything[3:6])),
            Filter(received_after=everything[5].event.received_at),
        ]
        for where in filters:
            found = [stored.number for stored in await bench.all(where, page=2)]
            assert await bench.inbox.count(where) == len(found)
            assert set(found) == {stored.number for stored in everything if meant(where, stored)}

    @played
    async def test_many_are_erased_at_once(self, bench: Bench) -> None:
        await bench.put(None, *(f"{number}" for number in range(600)))
        for _ in range(6):
            await bench.finish()
        numbers = [stored.number for stored in await bench.read()]
        assert await bench.inbox.erase(numbers[:550]) == 550
        assert [stored.has_payload for stored in await bench.read()] == [False] * 550 + [True] * 50

    @played
    async def test_an_erased_event_is_adopted_as_one(self, bench: Bench) -> None:
        await bench.put("k", "a")
        await bench.finish(Parked("no"))
        stored = await bench.get("a")
        other = bench.event("b", "k")
        there = erased(replace(stored, event=other, number=stored.number + 5))
        assert await bench.inbox.adopt([there]) == 1
        adopted, _ = await bench.all()
        assert adopted == replace(there, number=adopted.number)
        assert await bench.inbox.put([other]) == [Receipt.DUPLICATE_PARKED]
        assert await bench.inbox.adopt([there]) == 0
        assert await bench.inbox.erase([adopted.number]) == 0

    @requires("shared")
    @played
    async def test_through_whichever_handle_and_for_good(self, bench: Bench) -> None:
        other = await bench.another()
        await bench.put("k", "a", "b")
        await bench.finish()
        b, a = await bench.all()
        assert await other.erase([a.number]) == 1
        assert await bench.inbox.erase([a.number, b.number]) == 1
        assert (await other.list(Filter())).events == [erased(b), erased(a)]
        await bench.reopen()
        assert await bench.all() == [erased(b), erased(a)]

    @played
    async def test_of_an_erase_and_a_put_back_at_once_each_event_has_one(self, bench: Bench) -> None:
        other = await bench.another() if bench.can.shared else bench.inbox
        names = [f"{number}" for number in range(60)]
        await bench.put(None, *names)
        await bench.finish()
        numbers = [stored.number for stored in await bench.read()]
        halves = (numbers[:30], numbers[30:])
        gone, back, *rest = await asyncio.gather(
            bench.inbox.erase(halves[0]),
            other.put_back(Filter(states=frozenset({EventState.DONE}))),
            other.erase(halves[1]),
        )
        stored = await bench.read()
        waiting = [one for one in stored if one.state is EventState.WAITING]
        assert gone + sum(rest) + back == len(stored) == 60
        assert all(one.has_payload and one.event.event_id for one in waiting)
        assert len(waiting) == back == sum(len(lease.run) for lease in await bench.lease())
        assert [one.event.event_id for one in stored if one not in waiting] == [""] * (gone + sum(rest))
