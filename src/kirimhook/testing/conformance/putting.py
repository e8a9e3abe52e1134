"""Put: an event is stored once, as it came, whoever brings it and however often."""

from __future__ import annotations

import asyncio
import threading

import pytest

from kirimhook.receiver.inbox import Filter, Inbox
from kirimhook.receiver.model import Done, EventState, InboundEvent, Parked, Receipt
from kirimhook.testing.conformance.bench import Bench, ids
from kirimhook.testing.conformance.suite import Suite, played

FRESH, DUPLICATE, DUPLICATE_PARKED = Receipt.FRESH, Receipt.DUPLICATE, Receipt.DUPLICATE_PARKED
LATIN_1 = bytes(range(0x20, 0x7F)).decode() + bytes(range(0x80, 0x100)).decode("latin-1")
"""What the text of a header can hold."""


class Putting(Suite):
    @played
    async def test_an_event_is_fresh_once(self, bench: Bench) -> None:
        assert await bench.put(None, "a") == [FRESH]
        assert await bench.put(None, "a", "b") == [DUPLICATE, FRESH]
        assert ids(await bench.lease()) == [("a",), ("b",)]

    @played
    async def test_of_copies_in_one_batch_the_first_is_fresh(self, bench: Bench) -> None:
        assert await bench.put("k", "a", "b", "a", "a", "b") == [FRESH, FRESH, DUPLICATE, DUPLICATE, DUPLICATE]
        assert ids(await bench.lease()) == [("a", "b")]

    @played
    async def test_new_sources_do_not_hide_a_duplicate(self, bench: Bench) -> None:
        """Each source is another event, and its first event may be stored in another way."""
        assert await bench.put(None, "a") == [FRESH]
        for count in range(1, 9):
            fresh = [bench.event("a", source=f"shop {count} {index}") for index in range(count)]
            batch = [bench.event("a"), *fresh, fresh[0]]
            assert await bench.inbox.put(batch) == [DUPLICATE, *[FRESH] * count, DUPLICATE]

    @played
    async def test_a_batch_may_be_empty(self, bench: Bench) -> None:
        assert await bench.inbox.put([]) == []

    @played
    async def test_a_duplicate_changes_nothing(self, bench: Bench) -> None:
        first = bench.event("a", "k")
        await bench.inbox.put([first])
        bench.clock.advance(60)
        second = first._replace(body=b"other", ordering_key="z", delivery_id="wbd_other", received_at=bench.now)
        assert await bench.inbox.put([second]) == [DUPLICATE]
        assert (await bench.get("a")).event == first
        assert (await bench.one()).run[0].event == first

    @pytest.mark.parametrize("size", [127, 128, 129, 300])
    @played
    async def test_a_batch_of_any_size_keeps_its_order(self, bench: Bench, size: int) -> None:
        names = [f"{index:03}" for index in range(size)]
        assert await bench.put(None, *names) == [FRESH] * size
        assert await bench.put(None, *names, "last") == [*[DUPLICATE] * size, FRESH]
        stored = sorted(await bench.all(), key=lambda one: one.number)
        assert [one.event.event_id for one in stored] == [*names, "last"]

    @played
    async def test_numbers_are_commit_order_and_never_come_back(self, bench: Bench) -> None:
        await bench.put(None, "a", "b")
        first, last = (stored.number for stored in await bench.read())
        assert 0 < first < last
        await bench.finish()
        bench.clock.advance(400 * 86_400)
        while (await bench.inbox.purge(100)).more:
            pass
        assert await bench.all() == []
        await bench.put(None, "c")
        assert (await bench.one()).run[0].number > last

    @played
    async def test_what_happened_to_an_event_is_told_to_its_duplicates(self, bench: Bench) -> None:
        await bench.put(None, "done", "parked", "waiting")
        await bench.finish(Done(), Parked("no"), Done())
        await bench.put(None, "behind")
        assert await bench.put(None, "done", "parked", "behind", "parked") == [
            DUPLICATE,
            DUPLICATE_PARKED,
            DUPLICATE,
            DUPLICATE_PARKED,
        ]
        assert await bench.state("parked") is EventState.PARKED

    @played
    async def test_the_statuses_of_one_message_are_events_of_their_own(self, bench: Bench) -> None:
        sent, read = (bench.event("wamid.1", type="message.status", body=body) for body in (b"sent", b"read"))
        assert await bench.inbox.put([sent, read, sent]) == [FRESH, FRESH, DUPLICATE]

    @played
    async def test_every_field_comes_out_as_it_went_in(self, bench: Bench) -> None:
        odd = {
            "text": bench.event(f"id {LATIN_1}", f"sha256:{'0' * 64}", type=f"x.{LATIN_1}", source=LATIN_1),
            "empty": bench.event("empty", source="", delivery_id="", body=b""),
            "bytes": bench.event("bytes", delivery_id=LATIN_1, body=bytes(range(256)) * 3, problem="not UTF-8"),
            "test": bench.event("test", "k" * 256, livemode=False),
            "large": bench.event("large", body=b"\0" * 4_194_304),
        }
        await bench.inbox.put(list(odd.values()))
        assert {stored.event for stored in await bench.all()} == set(odd.values())
        assert {one.event for lease in await bench.lease() for one in lease.run} == set(odd.values())
        for event in odd.values():
            (found,) = await bench.all(Filter(event_id=event.event_id))
            assert found.event == event

    @played
    async def test_many_loops_and_threads_put_at_once(self, bench: Bench) -> None:
        batches = [[bench.event(f"{index}", f"k{index % 3}") for index in range(40)] for _ in range(4)]
        receipts: list[list[Receipt]] = []
        threads = [
            threading.Thread(target=lambda mine=batch: receipts.append(asyncio.run(_put_each(bench.inbox, mine))))
            for batch in batches
        ]
        for thread in threads:
            thread.start()
        await asyncio.gather(*(bench.put(None, f"here {index}") for index in range(40)))
        for thread in threads:
            await asyncio.to_thread(thread.join)
        for mine in zip(*receipts, strict=True):
            assert sorted(mine) == sorted([FRESH, DUPLICATE, DUPLICATE, DUPLICATE])
        assert len(await bench.all()) == 80

    @played
    async def test_closing_commits_what_waits(self, bench: Bench) -> None:
        puts = [asyncio.ensure_future(bench.put(None, f"{index}")) for index in range(20)]
        await asyncio.sleep(0)  # each has handed its event over
        await bench.inbox.close()
        assert await asyncio.gather(*puts) == [[FRESH]] * 20


async def _put_each(inbox: Inbox, events: list[InboundEvent]) -> list[Receipt]:
    receipts = await asyncio.gather(*(inbox.put([event]) for event in events))
    return [receipt for one in receipts for receipt in one]
