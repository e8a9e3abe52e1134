"""The engine of one process, with what it needs and what goes with it: transport, housekeeping."""

from __future__ import annotations

import asyncio
import gc
import sys
from typing import TYPE_CHECKING

from kirimhook.sender.engine import Engine
from kirimhook.sender.transport import Transport
from kirimhook.serving.options import OptionsError
from kirimhook.serving.sending.keeping import Janitor
from kirimhook.serving.sending.options import SenderOptions
from kirimhook.settings import SettingsError

if TYPE_CHECKING:
    from kirimhook.observe import Meter, Observer
    from kirimhook.sender.database import Database
    from kirimhook.sender.sealing import Sealer
    from kirimhook.sender.service import Sender


SWITCH = 0.0002
"""Seconds a thread may keep Python to itself: the loop that posts, or the one that writes SQLite."""
COLLECT_AFTER = (20_000, 20, 50)
"""Objects made before a collection looks at the young, and so on. Thousands of held deliveries are no garbage."""


def tune() -> None:
    """For a process that delivers. Measured by `make bench`, which does the same."""
    sys.setswitchinterval(SWITCH)
    gc.set_threshold(*COLLECT_AFTER)


class Delivering:
    """Start once, stop once, over an opened database."""

    def __init__(
        self, options: SenderOptions, database: Database, sealer: Sealer, meter: Meter, observer: Observer
    ) -> None:
        settings = options.settings
        self._settings = settings
        self._observer = observer
        self._meter = meter
        self._transport = Transport(settings)
        self._engine = Engine(
            database,
            sealer,
            self._transport,
            settings,
            meter=meter,
            observer=observer,
            notify=options.notify is not None,
        )
        self._running: asyncio.Task[None] | None = None
        self._janitor: Janitor | None = None
        self._stopping = False
        self.wake = self._engine.wake

    async def start(self, sender: Sender) -> None:
        """Raises `OptionsError` for a CA bundle that cannot be used."""
        tune()
        try:
            await self._transport.open()
        except SettingsError as error:
            raise OptionsError(str(error)) from error
        self._janitor = Janitor(sender, self._settings.keep_interval, self._observer, self._meter)
        self._janitor.start()
        self._running = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Attempts under way may end, within `drain_timeout`; what was not begun is given back."""
        self._stopping = True
        if self._janitor is not None:
            await self._janitor.stop()
        if self._running is not None:
            self._engine.drain()
            await asyncio.wait({self._running})
        await self._transport.close()

    def failed(self) -> bool:
        """It ended, and nobody told it to."""
        return not self._stopping and self._running is not None and self._running.done()

    async def _run(self) -> None:
        try:
            await self._engine.run()
        except Exception as error:  # the process serves on, and says that it is not ready
            self._observer.event("engine_failed", error=error)
