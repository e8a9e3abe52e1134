"""A bookmark is moved by one of those who knew what was there, also where an answer is lost."""

from __future__ import annotations

import asyncio

import pytest

from kirimhook.backends.jetstream.bookmarks import MOVES
from kirimhook.backends.jetstream.inbox import JetStreamInbox
from kirimhook.receiver.inbox import InboxUnavailable
from kirimhook.testing.nats import NatsCluster
from tests.backends.jetstream.handles import LosingLink, handles, link_of


def test_of_many_one_succeeds(three: NatsCluster) -> None:
    """Over and over, through several handles, on servers that keep a copy each."""

    async def play() -> None:
        async with handles(three) as there:
            inboxes = [await there.open() for _ in range(3)]
            was: str | None = None
            for turn in range(20):
                to = [f"{turn} {place}" for place in range(9)]
                held = await asyncio.gather(
                    *(inboxes[place % 3].move_bookmark("told", was, one) for place, one in enumerate(to))
                )
                assert sum(held) == 1
                was = to[held.index(True)]
                assert {await inbox.bookmark("told") for inbox in inboxes} == {was}
            assert await inboxes[0].move_bookmark("told", was, None)
            assert await inboxes[1].bookmark("told") is None
            assert not await inboxes[1].move_bookmark("told", was, "again")

    asyncio.run(play())


@pytest.mark.parametrize("stores", [[True], [False], [True, False], [False, False, True]])
def test_who_gets_no_answer_finds_out_whether_it_was_moved(node: NatsCluster, stores: list[bool]) -> None:
    async def play() -> None:
        async with handles(node) as there:
            inbox, other = await there.open(LosingLink), await there.open()
            link_of(inbox).only = ".bm."
            assert await inbox.move_bookmark("told", None, "a")
            link_of(inbox).stores = list(stores)
            assert await inbox.move_bookmark("told", "a", "b")
            assert await other.bookmark("told") == "b"
            link_of(inbox).stores = list(stores)
            assert not await inbox.move_bookmark("told", "a", "c")

    asyncio.run(play())


class OvertakenLink(LosingLink):
    """Others move the bookmark on before it is seen that no answer came."""

    then: list[tuple[str, str]]

    async def publish(self, subject: str, payload: bytes, *, expected: int | None = None, over: str = "") -> int:
        try:
            return await super().publish(subject, payload, expected=expected, over=over)
        except InboxUnavailable:
            for was, to in self.then:
                assert await self.other.move_bookmark("told", was, to)
            self.then = []
            raise

    other: JetStreamInbox


@pytest.mark.parametrize(("moves", "known"), [(1, True), (MOVES - 1, True), (MOVES, False)])
def test_others_may_have_moved_it_on_since(node: NatsCluster, moves: int, known: bool) -> None:
    """Beyond what a message remembers, nobody can tell, and nobody says so."""

    async def play() -> None:
        async with handles(node) as there:
            inbox, other = await there.open(OvertakenLink), await there.open()
            link = link_of(inbox)
            link.only, link.stores, link.other = ".bm.", [True], other
            link.then = [(f"{turn}", f"{turn + 1}") for turn in range(moves)]
            if known:
                assert await inbox.move_bookmark("told", None, "0")
            else:
                with pytest.raises(InboxUnavailable):
                    await inbox.move_bookmark("told", None, "0")
            assert await other.bookmark("told") == f"{moves}"

    asyncio.run(play())


@pytest.mark.parametrize("name", ["", "a.b", "*", "A", "x" * 65, "a b"])
def test_a_name_that_is_none_is_refused(node: NatsCluster, name: str) -> None:
    async def play() -> None:
        async with handles(node) as there:
            inbox = await there.open()
            with pytest.raises(ValueError, match="name"):
                await inbox.bookmark(name)
            with pytest.raises(ValueError, match="name"):
                await inbox.move_bookmark(name, None, "a")

    asyncio.run(play())
