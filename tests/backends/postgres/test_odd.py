"""Odd events: any text comes out as it went in, and what one of them does wrong costs the others nothing."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kirimhook.backends.postgres.texts import MARK, are_plain, lane_of, marked, unmarked
from kirimhook.receiver.inbox import Filter, InboxUnavailable
from kirimhook.receiver.model import Receipt
from tests.backends.postgres.places import Place, done, event

TEXTS = ["nul \0", "\ud800 lone", "\udfff", f"{MARK}0000;", MARK, "\\x00", "plain", "é🙂", "", "%_\\"]


@given(st.text(st.characters() | st.sampled_from(["\0", "\ud800", MARK, "0", ";"])))
def test_a_marked_text_can_be_stored_and_comes_back(text: str) -> None:
    assert unmarked(marked(text)) == text
    assert (marked(text) == text) is are_plain([text])
    assert b"\0" not in marked(text).encode()


def test_a_key_of_any_text_has_a_lane() -> None:
    lanes = [lane_of(text) for text in TEXTS]
    assert len(set(lanes)) == len(TEXTS)
    assert lane_of(None) is None


def test_every_field_of_any_text(place: Place) -> None:
    """In one batch with a plain event, which is stored and handed out with them."""

    async def play() -> None:
        events = [
            event(text, text, type=text, source=text, problem=text, delivery_id=text, body=f"{n}".encode())
            for n, text in enumerate(TEXTS)
        ]
        async with place.opened() as inbox:
            assert await inbox.put([event("before"), *events, event("after")]) == [Receipt.FRESH] * (len(TEXTS) + 2)
            assert await inbox.put(events) == [Receipt.DUPLICATE] * len(TEXTS)
            leases = await inbox.lease(100, 30)
            assert {one.event for lease in leases for one in lease.run} >= set(events)
            for text, each in zip(TEXTS, events, strict=True):
                for where in (Filter(event_id=text), Filter(types=(text,))):
                    assert [stored.event for stored in (await inbox.list(where)).events] == [each], where
            assert await inbox.count(Filter(types=(f"{MARK}*",))) == 2
            assert await inbox.count(Filter(types=("nul \0*",))) == 1
            assert all(await inbox.settle(done(leases)))
            assert await inbox.put_back(Filter(event_id=TEXTS[1])) == 1
            (lease,) = await inbox.lease(100, 30)
            assert lease.run[0].event == events[1]

    asyncio.run(play())


def test_what_cannot_be_stored_is_refused_alone(place: Place) -> None:
    """A moment beyond 64 bits: its call is refused, and those that shared its batch are stored."""

    async def play() -> None:
        async with place.opened() as inbox:
            names = [f"{number}" for number in range(20)]
            bad = event("bad", received_at=2**80)
            puts = [inbox.put([event(name)]) for name in names] + [inbox.put([bad])]
            *told, refused = await asyncio.gather(*puts, return_exceptions=True)
            assert told == [[Receipt.FRESH]] * 20
            assert isinstance(refused, InboxUnavailable)
            assert await inbox.count(Filter()) == 20
            with pytest.raises(InboxUnavailable):
                await inbox.put([bad])
            assert await inbox.put([event("good")]) == [Receipt.FRESH]

    asyncio.run(play())


def test_an_event_without_a_duplicate_s_fault(place: Place) -> None:
    """The first of a key in a batch is known already: the one behind it in the batch is due all the same."""

    async def play() -> None:
        async with place.opened() as inbox:
            await inbox.put([event("a", "k")])
            assert all(await inbox.settle(done(await inbox.lease(1, 30))))
            assert await inbox.put([event("a", "k"), event("b", "k")]) == [Receipt.DUPLICATE, Receipt.FRESH]
            (lease,) = await inbox.lease(10, 30)
            assert [one.event.event_id for one in lease.run] == ["b"]

    asyncio.run(play())
