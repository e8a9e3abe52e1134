"""Bookmarks: short texts beside the events, each moved by one of those who know where it was."""

from __future__ import annotations

import asyncio

import pytest

from kirimhook.receiver.model import Done
from kirimhook.testing.conformance.bench import DAY, Bench
from kirimhook.testing.conformance.suite import Suite, played, requires

TEXTS = ["", " ", "plain", "x" * 4096, '{"at": 7}', "line\nline", "\u00e9 \u6f22 \U0001f40d", "a\0b"]
BAD_NAMES = ["", "A", "a b", "a.b", "a*", "a>", "\u00e9", "a" * 65, "a\n"]


class Bookmarking(Suite):
    @played
    async def test_there_is_none_at_first(self, bench: Bench) -> None:
        assert await bench.inbox.bookmark("mine") is None

    @pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
    @played
    async def test_a_text_is_left_as_it_is_and_taken_away(self, bench: Bench, text: str) -> None:
        assert await bench.inbox.move_bookmark("mine", None, text) is True
        assert await bench.inbox.bookmark("mine") == text
        assert await bench.inbox.move_bookmark("mine", text, None) is True
        assert await bench.inbox.bookmark("mine") is None

    @played
    async def test_it_is_moved_only_from_where_it_was(self, bench: Bench) -> None:
        move = bench.inbox.move_bookmark
        assert await move("mine", "a", "b") is False
        assert await move("mine", "a", None) is False
        assert await move("mine", None, "a") is True
        assert await move("mine", None, "b") is False
        assert await move("mine", "", "b") is False
        assert await move("mine", "b", None) is False
        assert await bench.inbox.bookmark("mine") == "a"
        assert await move("mine", "a", "b") is True
        assert await bench.inbox.bookmark("mine") == "b"

    @played
    async def test_one_may_be_moved_to_where_it_is(self, bench: Bench) -> None:
        move = bench.inbox.move_bookmark
        assert await move("mine", None, None) is True
        assert await move("mine", None, "a") is True
        assert await move("mine", "a", "a") is True
        assert await move("mine", None, None) is False
        assert await bench.inbox.bookmark("mine") == "a"

    @played
    async def test_one_that_was_taken_away_can_be_left_again(self, bench: Bench) -> None:
        move = bench.inbox.move_bookmark
        for text in ("a", "b", "a"):
            assert await move("mine", None, text) is True
            assert await move("mine", text, None) is True
            assert await move("mine", text, None) is False
        assert await bench.inbox.bookmark("mine") is None

    @played
    async def test_each_name_has_its_own(self, bench: Bench) -> None:
        names = ["a", "a-", "a_", "paused", "a" * 64, "0"]
        for name in names:
            assert await bench.inbox.move_bookmark(name, None, name) is True
        assert [await bench.inbox.bookmark(name) for name in names] == names
        assert not (await bench.inbox.stats()).paused

    @pytest.mark.parametrize("name", BAD_NAMES, ids=range(len(BAD_NAMES)))
    @played
    async def test_a_name_that_is_none_is_refused(self, bench: Bench, name: str) -> None:
        with pytest.raises(ValueError, match="name"):
            await bench.inbox.move_bookmark(name, None, "a")

    @played
    async def test_a_text_that_is_too_long_is_refused(self, bench: Bench) -> None:
        with pytest.raises(ValueError, match="4096"):
            await bench.inbox.move_bookmark("mine", None, "x" * 4097)
        assert await bench.inbox.bookmark("mine") is None

    @played
    async def test_of_many_who_try_at_once_one_succeeds(self, bench: Bench) -> None:
        inboxes = [bench.inbox, await bench.another()] if bench.can.shared else [bench.inbox]
        was: str | None = None
        for step in range(5):
            tries = [(inbox, f"{step} {number}") for number in range(6) for inbox in inboxes]
            moved = await asyncio.gather(*(inbox.move_bookmark("mine", was, to) for inbox, to in tries))
            assert moved.count(True) == 1
            was = tries[moved.index(True)][1]
            assert [await inbox.bookmark("mine") for inbox in inboxes] == [was] * len(inboxes)

    @requires("shared")
    @played
    async def test_it_outlives_its_handle(self, bench: Bench) -> None:
        await bench.inbox.move_bookmark("mine", None, "a")
        await bench.reopen()
        assert await bench.inbox.bookmark("mine") == "a"

    @played
    async def test_events_have_nothing_to_do_with_it(self, bench: Bench) -> None:
        await bench.put("k", "a")
        before, counts = await bench.all(), (await bench.inbox.stats()).counts
        await bench.inbox.move_bookmark("mine", None, "a")
        assert (await bench.all(), (await bench.inbox.stats()).counts) == (before, counts)
        await bench.finish(Done())
        bench.clock.advance(400 * DAY)
        while (await bench.inbox.purge(100)).more:
            pass
        assert await bench.all() == []
        assert await bench.inbox.bookmark("mine") == "a"
