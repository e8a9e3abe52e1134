"""A thread with an event loop, where connections that belong to one loop live, whoever calls from wherever."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from kirimhook.receiver.inbox import InboxUnavailable

T = TypeVar("T")


class Home:
    """Start it once, stop it once."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._live, name=name, daemon=True)
        self._guard = threading.Lock()
        self._open = False

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    def start(self) -> None:
        self._open = True
        self._thread.start()

    def post(self, callback: Callable[..., object], *arguments: Any) -> None:
        """Call it on the loop soon, from any thread. Nothing once the home is closed."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback, *arguments)

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What `work` comes to, here. It goes on when its caller is cancelled. Raises what `begin` raises."""
        begun = self.begin(work)
        try:
            return await asyncio.shield(asyncio.wrap_future(begun))
        except asyncio.CancelledError:
            if begun.cancelled():  # by `stop`, and not its caller
                raise InboxUnavailable("closed", "the inbox was closed meanwhile") from None
            raise

    def begin(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Start `work` here, from any thread. Raises `InboxUnavailable` once closed."""
        with self._guard:
            if self._open:
                return asyncio.run_coroutine_threadsafe(work, self._loop)
        work.close()
        raise InboxUnavailable("closed", "open the inbox first")

    def stop(self) -> None:
        """Cancel what still runs here, and wait for the thread to end. Not from its own thread."""
        with self._guard:
            if not self._open:
                return
            self._open = False
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _live(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
            left = asyncio.all_tasks(self._loop)
            for task in left:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        finally:
            asyncio.set_event_loop(None)
            self._loop.close()
