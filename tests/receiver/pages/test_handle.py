"""The pages' own handle on an inbox: opened by the first who asks and once, tried anew when it could not be, closed
with the pages; and what it says of a server that is away does not tell a password.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kirimhook.backends import open_inbox
from kirimhook.receiver.inbox import Inbox, InboxUnavailable
from kirimhook.receiver.pages.handle import Borrowed, Lazy
from tests.receiver.pages.visiting import visiting


def opened(url: str, made: list[Inbox]) -> Inbox:
    made.append(open_inbox(url))
    return made[-1]


def test_many_who_ask_at_once_get_one_inbox_that_is_open(inbox_url: str) -> None:
    async def main() -> None:
        made: list[Inbox] = []
        lazy = Lazy(lambda: opened(inbox_url, made))
        assert made == []
        inboxes = await asyncio.gather(*(lazy.inbox() for _ in range(8)))
        assert len(made) == 1
        assert all(inbox is made[0] for inbox in inboxes)
        assert sum((await inboxes[0].stats()).counts.values()) == 0
        await lazy.close()
        await lazy.close()
        with pytest.raises(InboxUnavailable):
            await lazy.inbox()

    asyncio.run(main())


def test_one_that_could_not_be_opened_is_tried_anew_and_tells_no_password() -> None:
    class Away:
        """What opens at the second try. An inbox, as far as a handle knows one."""

        tries = 0
        closed = 0

        async def open(self) -> None:
            Away.tries += 1
            if Away.tries == 1:
                raise InboxUnavailable("unreachable", "postgresql://me:hunter2@db", 7)

        async def close(self) -> None:
            Away.closed += 1

    async def main() -> None:
        def make() -> Any:
            return Away()

        lazy = Lazy(make, scrub=lambda text: text.replace("hunter2", "***"))
        with pytest.raises(InboxUnavailable) as caught:
            await lazy.inbox()
        assert (caught.value.reason, caught.value.detail, caught.value.retry_after) == (
            "unreachable",
            "postgresql://me:***@db",
            7,
        )
        assert isinstance(await lazy.inbox(), Away)
        await lazy.close()
        assert (Away.tries, Away.closed) == (2, 2)

    asyncio.run(main())


def test_one_that_takes_long_is_not_waited_for_without_end_and_is_closed_all_the_same() -> None:
    class Slow:
        def __init__(self) -> None:
            self.closed = asyncio.Event()

        async def open(self) -> None:
            await asyncio.Event().wait()

        async def close(self) -> None:
            self.closed.set()

    async def main() -> None:
        slow = Slow()

        def make() -> Any:
            return slow

        lazy = Lazy(make, patience=0.01)
        for _ in range(2):
            with pytest.raises(InboxUnavailable, match="still being tried"):
                await lazy.inbox()
        await lazy.close()
        assert slow.closed.is_set()

    asyncio.run(main())


def test_one_that_was_never_asked_for_is_never_made() -> None:
    async def main() -> None:
        made: list[Inbox] = []
        await Lazy(lambda: opened("sqlite:///:memory:", made)).close()
        assert made == []

    asyncio.run(main())


def test_a_borrowed_one_stays_open(sqlite_url: str) -> None:
    async def main() -> None:
        async with visiting(sqlite_url) as house:
            handle = Borrowed(house.inbox)
            assert await handle.inbox() is house.inbox
            await handle.close()
            assert not (await house.inbox.stats()).paused

    asyncio.run(main())


def test_pages_say_that_the_inbox_cannot_be_asked_and_the_overview_is_there_all_the_same(sqlite_url: str) -> None:
    class Never:
        async def inbox(self) -> Inbox:
            raise InboxUnavailable("unreachable", "nobody answers", 9)

        async def close(self) -> None: ...

    async def main() -> None:
        async with visiting(sqlite_url, handle=Never()) as house:
            overview = await house.me.get()
            assert overview.status == 200
            assert "Not known: unreachable: nobody answers." in overview.text
            paused = await house.me.post("/pause")
            assert (paused.status, paused.headers["retry-after"]) == (503, "9")
            assert "unreachable: nobody answers" in paused.text

    asyncio.run(main())
