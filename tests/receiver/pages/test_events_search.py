"""A search finds what the inbox's own list and count find, on all three kinds, however little time it has.

Without time it looks at one span of numbers and says where to go on: going on finds everything, each once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from itertools import count as numbers_from

from kirimhook.receiver.inbox import Filter
from kirimhook.receiver.model import Done, EventState, Parked, StoredEvent, Unhandled
from kirimhook.receiver.pages import search
from kirimhook.receiver.pages.search import PATIENCE, QUICK, SLOW, Counted, Stride, count, look
from tests.receiver.pages.stock import ended, everything, opened
from tests.receiver.working import inbound

KINDS = ("contact.created", "contact.updated", "message.received")
OUTCOMES = (Done(), Parked("p"), Unhandled())
FILTERS = (
    Filter(),
    Filter(types=("contact.*",)),
    Filter(states=frozenset({EventState.PARKED, EventState.UNHANDLED})),
    Filter(states=frozenset({EventState.DONE}), types=("message.received",)),
    Filter(states=frozenset({EventState.SKIPPED})),
)


def bare(stored: StoredEvent) -> StoredEvent:
    """Without its body: a search reads none."""
    return replace(stored, event=stored.event._replace(body=b""))


def out_of_time() -> Callable[[], float]:
    """A clock by which every look takes longer than a search may."""
    ticks = numbers_from()
    return lambda: next(ticks) * PATIENCE * 2


def test_a_search_finds_what_the_list_finds(inbox_url: str) -> None:
    async def main() -> None:
        async with opened(inbox_url) as inbox:
            for outcome in OUTCOMES:
                await ended(inbox, outcome, *(inbound(kind=kind) for kind in KINDS * 4))
            for where in FILTERS:
                expected = [bare(stored) for stored in await everything(inbox, where)]
                found = await look(inbox, where, limit=100)
                assert (found.events, found.next) == (expected, None), where
                assert await count(inbox, where) == Counted(len(expected), is_all=True), where
                first = await look(inbox, where, limit=3)
                assert first.events == expected[:3]
                rest = await look(inbox, where, first.next, limit=100) if first.next else search.Found([], None)
                assert first.events + rest.events == expected

    asyncio.run(main())


def test_without_time_it_goes_on_and_finds_each_once(inbox_url: str) -> None:
    async def main() -> None:
        async with opened(inbox_url) as inbox:
            await ended(inbox, Done(), *(inbound(kind=KINDS[at % 3]) for at in range(40)))
            where = Filter(types=("contact.created",))
            expected = [bare(stored) for stored in await everything(inbox, where)]
            found, below, looks = [], None, 0
            while True:
                part = await look(inbox, where, below, 5, clock=out_of_time(), stride=Stride(7))
                found += part.events
                looks += 1
                if part.next is None:
                    break
                assert below is None or part.next < below
                below = part.next
            assert found == expected
            assert looks > 1

    asyncio.run(main())


def test_a_count_that_was_cut_short_says_so(inbox_url: str) -> None:
    async def main() -> None:
        async with opened(inbox_url) as inbox:
            await ended(inbox, Parked("p"), *(inbound() for _ in range(6)))
            assert await count(inbox, Filter(), clock=out_of_time()) == Counted(6, is_all=True)
            narrow = Stride(2)
            assert await count(inbox, Filter(), clock=out_of_time(), stride=narrow) == Counted(2, is_all=False)

    asyncio.run(main())


def test_an_empty_inbox_has_nothing(inbox_url: str) -> None:
    async def main() -> None:
        async with opened(inbox_url) as inbox:
            assert await look(inbox, Filter()) == ([], None)
            assert await count(inbox, Filter()) == Counted(0, is_all=True)

    asyncio.run(main())


def test_spans_grow_while_answers_are_quick_and_shrink_when_they_are_slow() -> None:
    stride = Stride(100)
    stride.took(QUICK / 2)
    assert stride.width == 400
    stride.took((QUICK + SLOW) / 2)
    assert stride.width == 400
    for _ in range(20):
        stride.took(SLOW * 2)
    assert stride.width == 1
