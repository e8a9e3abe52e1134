"""The futures of one event loop that wait for the writer thread, and the bound on how long a put may wait."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any

from kirimhook.receiver.inbox import InboxBusy

Resolution = tuple["asyncio.Future[Any]", Any, BaseException | None]


class Waiters:
    """Lives on one loop; only `resolve_soon` may be called from another thread.

    One timer serves all puts: they are bounded alike, so they expire in the order in which they came.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, bound: float) -> None:
        self._loop = loop
        self._bound = bound
        self._bounded: deque[tuple[float, asyncio.Future[Any]]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def future(self) -> asyncio.Future[Any]:
        return self._loop.create_future()

    def bounded_future(self) -> asyncio.Future[Any]:
        future = self._loop.create_future()
        deadline = self._loop.time() + self._bound
        self._bounded.append((deadline, future))
        if self._timer is None:
            self._timer = self._loop.call_at(deadline, self._expire)
        return future

    def resolve_soon(self, results: Sequence[Resolution]) -> None:
        """From the writer thread. A loop that has closed has nobody left to tell."""
        try:
            self._loop.call_soon_threadsafe(self._resolve, results)
        except RuntimeError:
            if not self._loop.is_closed():
                raise

    def _resolve(self, results: Sequence[Resolution]) -> None:
        for future, value, error in results:
            if future.done():  # its waiter was cancelled, or its bound passed
                continue
            if error is None:
                future.set_result(value)
            else:
                future.set_exception(carried(error))
        self._forget_resolved()

    def _forget_resolved(self) -> None:
        while self._bounded and self._bounded[0][1].done():
            self._bounded.popleft()

    def _expire(self) -> None:
        self._timer = None
        now = self._loop.time()
        while self._bounded and self._bounded[0][0] <= now:
            future = self._bounded.popleft()[1]
            if not future.done():
                future.set_exception(InboxBusy("commit_timeout", f"not committed within {self._bound:g} s"))
        self._forget_resolved()
        if self._bounded:
            self._timer = self._loop.call_at(self._bounded[0][0], self._expire)


def carried(error: BaseException) -> BaseException:
    """A future refuses a StopIteration, and would turn a CancelledError into a cancellation of its waiter."""
    if not isinstance(error, StopIteration | asyncio.CancelledError):
        return error
    carried = RuntimeError(f"a handler raised {type(error).__name__}")
    carried.__cause__ = error
    return carried
