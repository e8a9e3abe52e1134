"""The threads of a worker: one that runs an event loop whatever handlers do to it, and a few for plain functions.

All are daemons: a handler that never returns must not keep the process from ending. Its lease runs out.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import queue
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple


class LoopThread:
    """An event loop in a thread of its own. Starts once, stops once."""

    def __init__(self, name: str, broken: Callable[[BaseException], None]) -> None:
        """Calls `broken` with what a callback raised out of the loop (SystemExit does); the loop goes on."""
        self.loop = asyncio.new_event_loop()
        self._broken = broken
        self._over = False
        self._closing: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def call_soon(self, callback: Callable[..., object], *args: object) -> None:
        """From any thread. A loop that has closed has nobody left to call."""
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(callback, *args)

    def stop(self, timeout: float) -> bool:
        """Cancel what still runs on the loop, and end. False when the loop is blocked for `timeout` seconds."""
        self.call_soon(self._end)
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            while not self._over:
                try:
                    self.loop.run_forever()
                except BaseException as error:  # nothing a handler does may end the loop in silence
                    self._broken(error)
        finally:
            asyncio.set_event_loop(None)
            self.loop.close()

    def _end(self) -> None:
        tasks = asyncio.all_tasks(self.loop)
        self._closing = self.loop.create_task(self._close(tasks))

    async def _close(self, tasks: set[asyncio.Task[Any]]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.loop.shutdown_asyncgens()
        await self.loop.shutdown_default_executor()
        self._over = True
        self.loop.stop()


class Returned(NamedTuple):
    """Of a function that ran in a thread: its value, or what it raised."""

    value: object
    error: BaseException | None


class _Job(NamedTuple):
    function: Callable[..., object]
    argument: object
    context: contextvars.Context
    future: asyncio.Future[Returned]


class HandlerThreads:
    """Runs plain functions for one event loop, each in a context of its own."""

    def __init__(self, loop: asyncio.AbstractEventLoop, name: str) -> None:
        self._loop = loop
        self._name = name
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._threads: list[threading.Thread] = []

    async def run(self, function: Callable[..., object], argument: object) -> Returned:
        """As many at one time as there are callers."""
        future: asyncio.Future[Returned] = self._loop.create_future()
        if not self._idle.acquire(blocking=False):
            thread = threading.Thread(target=self._work, name=f"{self._name}-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()
        self._jobs.put(_Job(function, argument, contextvars.copy_context(), future))
        return await future

    def stop(self, timeout: float) -> int:
        """Ends the threads that are free; how many are not, after `timeout` seconds."""
        end = time.monotonic() + timeout
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join(max(end - time.monotonic(), 0))
        return sum(thread.is_alive() for thread in self._threads)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            returned = _called(job)
            self._idle.release()
            with contextlib.suppress(RuntimeError):  # the loop has closed: the worker gave this thread up
                self._loop.call_soon_threadsafe(_resolve, job.future, returned)


def _called(job: _Job) -> Returned:
    try:
        return Returned(job.context.run(job.function, job.argument), None)
    except BaseException as error:  # it is the handler's, and the caller reports it
        return Returned(None, error)


def _resolve(future: asyncio.Future[Returned], returned: Returned) -> None:
    if not future.done():
        future.set_result(returned)
