"""What an operator asks of an inbox: lists, counts, putting back, pausing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import pytest

from kirimhook.receiver.inbox import Filter, PayloadPurged
from kirimhook.receiver.model import (
    Done,
    EventState,
    Outcome,
    Parked,
    RetryAt,
    Skipped,
    StoredEvent,
    Unhandled,
)
from kirimhook.testing.conformance.bench import DAY, START, Bench, ids
from kirimhook.testing.conformance.suite import Suite, played, requires

NOW = int(START * 1000)
STATES = list(EventState)
FINISHED = [EventState.DONE, EventState.PARKED, EventState.UNHANDLED, EventState.SKIPPED]


def filters(numbers: Sequence[int]) -> list[Filter]:
    """For a storage with events of these numbers, in order."""
    first, second, third, *_ = numbers
    unknown = numbers[-1] + 10_000
    return [
        Filter(),
        *(Filter(states=frozenset({state})) for state in STATES),
        *(Filter(states=frozenset(pair)) for pair in combinations(STATES, 2)),
        Filter(states=frozenset(STATES)),
        Filter(types=("contact.created",)),
        Filter(types=("contact.*", "message.status")),
        Filter(types=("*",)),
        Filter(types=("contact.create",)),
        Filter(types=("%", "_*")),
        Filter(event_id="same"),
        Filter(event_id="nobody"),
        Filter(numbers=(third, first, third, unknown)),
        Filter(numbers=tuple(range(second, second + 40_000))),
        Filter(received_after=NOW + 5_000),
        Filter(received_before=NOW + 5_000),
        Filter(received_after=NOW + 3_000, received_before=NOW + 3_001),
        Filter(
            states=frozenset({EventState.PARKED, EventState.WAITING}), types=("message.*",), received_after=NOW + 2_000
        ),
        Filter(states=frozenset({EventState.DONE}), event_id="same", numbers=tuple(numbers[:5])),
        Filter(states=frozenset({EventState.RUNNING}), types=("contact.*",), received_before=NOW + 60_000),
        *between(first, numbers[-2]),
        *of_key(),
    ]


def between(low: int, high: int) -> list[Filter]:
    """Spans of numbers: open below, open above, both, neither, and those of which there are none."""
    spans = [(low, None), (None, high), (low, high), (-1, high + 10_000), (high, low), (high, high + 1)]
    states = [frozenset[EventState](), frozenset({EventState.PARKED, EventState.UNHANDLED}), frozenset(STATES)]
    spanned = [Filter(states=some, above=above, below=below) for above, below in spans for some in states]
    return [*spanned, Filter(above=low, below=high, types=("contact.*",)), Filter(event_id="same", above=low)]


def of_key() -> list[Filter]:
    unfinished = frozenset({EventState.WAITING, EventState.RUNNING})
    states = [frozenset[EventState](), unfinished, frozenset({EventState.WAITING}), frozenset({EventState.PARKED})]
    return [Filter(states=some, ordering_key=key) for key in ("k", "z", "nobody") for some in states]


def finished_filters(numbers: Sequence[int]) -> list[Filter]:
    """Of what can be put back, likewise."""
    return [
        *(Filter(states=frozenset({state})) for state in FINISHED),
        Filter(states=frozenset(FINISHED), types=("contact.*",)),
        Filter(states=frozenset(STATES), received_after=NOW + 1_000, received_before=NOW + 5_000),
        Filter(states=frozenset({EventState.PARKED}), types=("message.received",)),
        Filter(event_id="same"),
        Filter(event_id="nobody"),
        Filter(numbers=(numbers[0], numbers[1], numbers[4], numbers[7], numbers[-1] + 10_000)),
        Filter(numbers=(numbers[2],), states=frozenset({EventState.PARKED})),
        Filter(states=frozenset(FINISHED), above=numbers[0], below=numbers[4]),
        Filter(states=frozenset({EventState.PARKED}), above=numbers[2]),
    ]


def meant(where: Filter, stored: StoredEvent) -> bool:
    """The rule in plain words."""
    event = stored.event
    return (
        (not where.states or stored.state in where.states)
        and (not where.types or any(of_type(event.type, pattern) for pattern in where.types))
        and (where.event_id is None or event.event_id == where.event_id)
        and (not where.numbers or stored.number in where.numbers)
        and (where.received_after is None or event.received_at >= where.received_after)
        and (where.received_before is None or event.received_at < where.received_before)
        and (where.above is None or stored.number > where.above)
        and (where.below is None or stored.number < where.below)
        and (where.ordering_key is None or event.ordering_key == where.ordering_key)
    )


def of_type(name: str, pattern: str) -> bool:
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern


async def populate(bench: Bench) -> list[StoredEvent]:
    """Two events in each state, a second apart, of several types; newest first."""
    types = ["message.received", "contact.created", "contact.updated", "message.status"]
    endings: list[Outcome] = [
        Done(),
        Parked("p"),
        Unhandled(),
        Skipped(),
        RetryAt(NOW + 10**9, "r"),
        Done(),
        Parked("q"),
    ]
    for index, outcome in enumerate(endings):
        event_id = "same" if index % 5 == 0 else f"{index}"
        await bench.put(None, event_id, type=types[index % 4], source=("meta", "kirim", "shop")[index % 3])
        await bench.finish(outcome)
        bench.clock.advance(1)
    await bench.put("k", "held", "behind")
    await bench.lease(seconds=10**9)
    await bench.put("z", "due", type="contact.created")
    return (await bench.read())[::-1]


class Operating(Suite):
    @played
    async def test_one_event_by_its_number(self, bench: Bench) -> None:
        assert await bench.inbox.get(1) is None
        await bench.put("k", "a")
        number = (await bench.one()).run[0].number
        stored = await bench.inbox.get(number)
        assert stored == (await bench.all())[0]
        assert stored is not None
        assert (stored.number, stored.event, stored.has_payload) == (number, bench.event("a", "k"), True)
        assert (stored.state, stored.due_at) == (EventState.RUNNING, bench.now + 30_000)

    @played
    async def test_a_filter_lists_and_counts_what_it_means(self, bench: Bench) -> None:
        everything = await populate(bench)
        assert len({stored.state for stored in everything}) == len(STATES)
        for where in filters([stored.number for stored in reversed(everything)]):
            expected = [stored for stored in everything if meant(where, stored)]
            for page in (1, 2, 100):
                assert await bench.all(where, page) == expected, where
            bare = await bench.inbox.list(where, 100, bodies=False)
            assert bare.events == [replace(stored, event=stored.event._replace(body=b"")) for stored in expected], where
            assert await bench.inbox.count(where) == len(expected), where

    @played
    async def test_a_page_ends_where_it_ends(self, bench: Bench) -> None:
        await bench.put(None, "a", "b", "c")
        page = await bench.inbox.list(Filter(), limit=2)
        assert [stored.event.event_id for stored in page.events] == ["c", "b"]
        await bench.put(None, "d")
        rest = await bench.inbox.list(Filter(), 2, page.next_cursor)
        assert ([stored.event.event_id for stored in rest.events], rest.next_cursor) == (["a"], None)
        assert (await bench.inbox.list(Filter(), limit=4)).next_cursor is None

    @played
    async def test_a_cursor_is_good_for_its_own_list_only(self, bench: Bench) -> None:
        await bench.put(None, "a", "b", "c")
        cursor = (await bench.inbox.list(Filter(), limit=1)).next_cursor
        assert cursor is not None
        for foreign in ("", "x", "é", cursor[:-1], cursor + "A", "A" * len(cursor), cursor.swapcase()):
            with pytest.raises(ValueError):
                await bench.inbox.list(Filter(), 1, foreign)
        with pytest.raises(ValueError):
            await bench.inbox.list(Filter(types=("message.received",)), 1, cursor)

    @played
    async def test_the_stats_are_a_recount(self, bench: Bench) -> None:
        empty = await bench.inbox.stats()
        assert (set(empty.counts.values()), empty.paused, empty.oldest_waiting) == ({0}, False, None)
        everything = await populate(bench)
        await bench.inbox.put_back(Filter(types=("contact.*",), states=frozenset(FINISHED)))
        stats = await bench.inbox.stats()
        everything = await bench.all()
        assert stats.counts == {state: sum(one.state is state for one in everything) for state in STATES}
        unfinished = [one for one in everything if one.state not in FINISHED]
        assert stats.oldest_waiting == min(one.event.received_at for one in unfinished)
        assert stats.bytes > 0

    @pytest.mark.parametrize(
        "outcome", [Done(), Parked("no"), Unhandled(), Skipped()], ids=lambda one: type(one).__name__
    )
    @played
    async def test_what_is_put_back_begins_anew(self, bench: Bench, outcome: Done) -> None:
        await bench.put("k", "a", "b")
        await bench.end(await bench.one(), RetryAt(bench.now, "first"))
        await bench.finish(outcome, Done())
        number = (await bench.get("a")).number
        bench.clock.advance(5)
        assert await bench.inbox.put_back(Filter(numbers=(number,))) == 1
        stored = await bench.get("a")
        assert (stored.state, stored.attempts, stored.reason) == (EventState.WAITING, 0, None)
        assert (bench.due(stored), stored.finished_at) == (bench.now, None)
        lease = await bench.one()
        assert [(one.number, one.attempt, one.event) for one in lease.run] == [(number, 1, stored.event)]
        assert await bench.end(lease, Done()) == [True]

    @pytest.mark.parametrize("which", range(len(finished_filters(range(10)))))
    @played
    async def test_a_filter_puts_back_what_is_finished_of_it(self, bench: Bench, which: int) -> None:
        everything = await populate(bench)
        where = finished_filters([stored.number for stored in reversed(everything)])[which]
        back = {one.number for one in everything if meant(where, one) and one.state in FINISHED}
        assert await bench.inbox.put_back(where) == len(back)
        for before, after in zip(everything, await bench.all(), strict=True):
            assert after.state is (EventState.WAITING if before.number in back else before.state)

    @played
    async def test_what_is_put_back_has_to_be_named(self, bench: Bench) -> None:
        everything = await populate(bench)
        unfinished = frozenset({EventState.WAITING, EventState.RUNNING})
        for where in (Filter(), Filter(types=("*",)), Filter(received_after=0), Filter(states=unfinished)):
            with pytest.raises(ValueError):
                await bench.inbox.put_back(where)
        assert await bench.all() == everything

    @played
    async def test_what_is_put_back_waits_for_its_key_and_comes_in_order(self, bench: Bench) -> None:
        await bench.put("k", "a", "b", "c")
        await bench.finish(Parked("a"), Done(), Parked("c"))
        await bench.put("k", "d", "e")
        held = await bench.one()
        assert await bench.inbox.put_back(Filter(states=frozenset({EventState.PARKED}))) == 2
        assert await bench.lease() == []
        assert await bench.end(held, Done(), Done()) == [True, True]
        assert ids(await bench.lease()) == [("a", "c")]

    @played
    async def test_what_is_put_back_behind_a_retry_comes_before_what_came_later(self, bench: Bench) -> None:
        await bench.put("k", "a")
        await bench.finish(Parked("a"))
        await bench.put("k", "b", "c")
        await bench.end(await bench.one(), RetryAt(bench.now + 60_000, "later"))
        await bench.inbox.put_back(Filter(event_id="a"))
        assert await bench.lease() == []
        bench.clock.advance(60)
        assert ids(await bench.lease()) == [("b", "a", "c")]

    @played
    async def test_more_than_fit_one_transaction_are_put_back(self, bench: Bench) -> None:
        names = [f"{index:04}" for index in range(1_100)]
        await bench.put("k", *names)
        while leases := await bench.lease():
            await bench.end(leases[0], *[Unhandled()] * len(leases[0].run))
        numbers = tuple(stored.number for stored in await bench.all())
        for where in (Filter(states=frozenset({EventState.UNHANDLED})), Filter(numbers=numbers)):
            assert await bench.inbox.put_back(where) == 1_100
            seen = []
            while leases := await bench.lease():
                seen += [one.event.event_id for one in leases[0].run]
                await bench.end(leases[0], *[Done()] * len(leases[0].run))
            assert seen == names

    @requires("payload_retention")
    @played
    async def test_without_its_body_an_event_cannot_be_put_back(self, bench: Bench) -> None:
        await bench.put(None, "old")
        await bench.finish()
        bench.clock.advance(10 * DAY)
        await bench.put(None, "young")
        await bench.finish()
        await bench.inbox.purge(100)
        old, young = (await bench.get("old")).number, (await bench.get("young")).number
        with pytest.raises(PayloadPurged):
            await bench.inbox.put_back(Filter(numbers=(old,)))
        assert await bench.inbox.put_back(Filter(states=frozenset({EventState.DONE}), types=("nothing",))) == 0
        assert await bench.inbox.put_back(Filter(numbers=(old, young))) == 1
        assert await bench.state("old") is EventState.DONE

    @played
    async def test_paused_gives_nothing_and_takes_everything(self, bench: Bench) -> None:
        await bench.put("k", "a")
        held = await bench.one(seconds=30)
        for _ in range(2):
            await bench.inbox.pause()
        await bench.put(None, "b")
        bench.clock.advance(20)
        assert await bench.lease() == []
        assert (await bench.inbox.stats()).paused is True
        assert await bench.inbox.renew([(held.token, held.run[0].number)], 30) == [True]
        assert await bench.end(held, Done()) == [True]
        for _ in range(2):
            await bench.inbox.resume()
        assert (await bench.inbox.stats()).paused is False
        assert ids(await bench.lease()) == [("b",)]
