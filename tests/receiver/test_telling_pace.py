"""Machines whose clocks are a few seconds apart keep the pace between them, however long an interval is."""

from __future__ import annotations

import asyncio
from pathlib import Path

from kirimhook.receiver.telling.notifier import SELDOM, Notifier
from kirimhook.testing.clock import Clock
from tests.receiver.test_telling_notifier import NOW, SOON, Ear, opened

HOUR = 3600.0


def test_a_clock_that_is_behind_tells_no_sooner(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(f"sqlite:///{tmp_path / 'inbox.db'}", 2) as scene:
            ear, behind = Ear(), Clock(NOW)
            one = Notifier(scene.inboxes[0], ear, clock=scene.clock, every=HOUR, meter=scene.meters[0])
            other = Notifier(scene.inboxes[1], ear, clock=behind, every=HOUR, meter=scene.meters[1])
            await scene.park(1)
            assert await one.tell() == 0
            scene.clock.advance(1)
            assert await one.tell() == 1
            await scene.park(1, process=1)
            behind.now = scene.clock.now - 2
            assert await other.tell() == 0
            behind.advance(1)
            assert await other.tell() == 0, "an hour has not passed"
            behind.advance(HOUR)
            await other.tell()
            behind.advance(SELDOM)
            await other.tell()
            assert ear.counts() == [1, 1]

    asyncio.run(asyncio.wait_for(main(), SOON))
