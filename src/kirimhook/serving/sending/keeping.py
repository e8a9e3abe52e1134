"""Housekeeping: retention, expiry and what deletions left, in bounded rounds while everything else goes on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from kirimhook.sender.database import StorageUnavailable
from kirimhook.sender.service.replaying import LEFT_ALONE

if TYPE_CHECKING:
    from kirimhook.observe import Meter, Observer
    from kirimhook.sender.service import Sender
    from kirimhook.sender.service.keeping import Kept

COUNTED = ("closed", "expired", "deliveries", "events", "answers", "sessions", "replay_runs")


class Janitor:
    """Runs `Sender.keep` as long as there is something to do, then every `interval` seconds."""

    def __init__(self, sender: Sender, interval: float, observer: Observer, meter: Meter) -> None:
        self._sender = sender
        self._interval = interval
        self._observer = observer
        self._counts = meter.counter("kirimhook_sender_kept_total")
        self._running: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._running = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """At once: what it is in the middle of is a transaction, done or not."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait({self._running})

    async def _run(self) -> None:
        while True:
            pause = await self._round()
            await asyncio.sleep(pause)

    async def _round(self) -> float:
        """Seconds until the next one."""
        try:
            kept = await self._sender.keep()
        except StorageUnavailable as error:
            self._observer.event("keeping_failed", reason=str(error))
        except Exception as error:  # a defect here must not end housekeeping until a restart
            self._observer.event("keeping_failed", reason="a defect of ours", error=error)
        else:
            self._note(kept)
            return next_round(kept, self._interval)
        return self._interval

    def _note(self, kept: Kept) -> None:
        for what in COUNTED:
            self._counts[what] += getattr(kept, what)
        if kept.expired:
            self._observer.event("deliveries_expired", deliveries=kept.expired)


def next_round(kept: Kept, interval: float) -> float:
    """Seconds until it: sooner where a run may have to be gone on with."""
    if kept.more:
        return 0
    return min(interval, LEFT_ALONE) if kept.running else interval
