"""Pause and resume hold for the inbox itself, on all three kinds, and the log says who did it."""

from __future__ import annotations

import asyncio

from tests.receiver.pages.visiting import visiting


def test_what_is_paused_by_the_page_is_paused_and_goes_on_when_resumed(inbox_url: str) -> None:
    async def main() -> None:
        async with visiting(inbox_url) as house:
            paused = await house.me.post("/pause")
            assert (paused.status, paused.place) == (303, "/inbox")
            assert (await house.inbox.stats()).paused
            assert (await house.me.post("/resume")).status == 303
            assert not (await house.inbox.stats()).paused
            assert house.log.named("inbox_paused")[0]["client"] == "127.0.0.1"
            assert house.log.named("inbox_resumed")[0]["client"] == "127.0.0.1"

    asyncio.run(main())
