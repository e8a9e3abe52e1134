"""One start of a worker to its stop, in a thread of its own: the control loop, and the handlers' loop it feeds."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

from kirimhook.receiver.inbox import InboxUnavailable
from kirimhook.receiver.work.executors import Executors, Shop
from kirimhook.receiver.work.purge import keep_purging
from kirimhook.receiver.work.run import Report, Run
from kirimhook.receiver.work.source import InboxSource
from kirimhook.runner import Pace, Runner

GRACE = 1.0
"""Seconds for what was cancelled to come to an end, and once more for its threads."""


class Session:
    """Started once. May be told to stop any number of times, from any thread."""

    def __init__(self, shop: Shop, predecessor: Session | None) -> None:
        """Begins its work when its predecessor has ended."""
        self._shop = shop
        self._predecessor = predecessor
        self._stopping: Future[float] = Future()
        self._stop_once = threading.Lock()
        self._source = InboxSource(shop.inbox, shop.settings, shop.observer, shop.meter)
        self._runner: Runner[Run, Report] = Runner(
            self._source, self._hand_over, Pace(renew=shop.settings.lease / 3), outage=self._outage
        )
        self._executors: Executors | None = None
        self._halted_at = 0.0
        self._thread = threading.Thread(target=self._run, name="kirimhook-worker", daemon=True)
        self.ended: Future[None] = Future()
        """Done when nothing of it runs any more, but handlers that could not be stopped."""
        self.ended.set_running_or_notify_cancel()  # so that nobody who waits for it can cancel it
        self.idle = self._runner.idle

    def start(self) -> None:
        self._thread.start()

    @property
    def is_stopping(self) -> bool:
        return self._stopping.done() or self.ended.done()

    def stop(self, timeout: float) -> None:
        """Lease no more, let running handlers end for `timeout` seconds. The first call counts."""
        with self._stop_once:
            if not self._stopping.done():
                self._stopping.set_result(timeout)

    def join(self) -> None:
        """After `ended`, for the last instructions of its thread."""
        self._thread.join()

    def _run(self) -> None:
        try:
            if self._predecessor is not None:
                self._predecessor.ended.result()
                self._predecessor = None
            asyncio.run(self._work())
        except BaseException as error:  # a thread that dies in silence is a worker that hangs
            self._shop.observer.event("worker_failed", error=error)
        finally:
            self._runner.close()
            if self._executors is not None:
                self._executors.stop(GRACE)
            self.ended.set_result(None)

    async def _work(self) -> None:
        shop = self._shop
        self._executors = executors = Executors(shop, self._runner)
        executors.start()
        shop.observer.event("worker_started", handlers=len(shop.hooks.handlers), concurrency=shop.settings.concurrency)
        purging = asyncio.create_task(keep_purging(shop.inbox, shop.settings, shop.observer, shop.meter))
        running = asyncio.create_task(self._runner.run())
        either: set[asyncio.Future[Any]] = {running, asyncio.wrap_future(self._stopping)}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        purging.cancel()
        executors.drain()
        shop.observer.event("worker_stopping", leased=self._runner.held)
        self._runner.drain()
        abandoned = await self._drain(running, executors)
        shop.observer.event("worker_stopped", abandoned=abandoned or None)

    async def _drain(self, running: asyncio.Task[None], executors: Executors) -> int:
        """How many runs are left to their leases."""
        if not running.done():
            await asyncio.wait({running}, timeout=self._stopping.result())
        if not running.done():
            executors.cancel()
            await asyncio.wait({running}, timeout=GRACE)
        abandoned = self._source.abandoned + self._runner.held
        if running.done():
            running.result()
        else:
            running.cancel()
        return abandoned

    def _hand_over(self, runs: Sequence[Run]) -> None:
        if self._executors is not None:
            self._executors.hand_over(runs)

    def _outage(self, error: Exception | None) -> None:
        if error is None:
            self._shop.observer.event("work_resumed", seconds=round(time.monotonic() - self._halted_at, 3))
            return
        self._halted_at = time.monotonic()
        if isinstance(error, InboxUnavailable):
            self._shop.observer.event("work_halted", reason=str(error))
        else:
            self._shop.observer.event("work_halted", error=error, reason=repr(error))
