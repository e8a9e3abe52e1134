"""`Worker`: handles what an inbox holds, by hooks."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from kirimhook.observe import Meter, Observer
from kirimhook.receiver.hooks import HookError, Hooks, Kind
from kirimhook.receiver.inbox import Inbox
from kirimhook.receiver.work.executors import Shop
from kirimhook.receiver.work.session import Session
from kirimhook.receiver.work.verdict import Verdicts
from kirimhook.settings import ReceiverSettings

__all__ = ["Worker"]


class Worker:
    """Leases events from an inbox that is open, handles them, and settles what came of it.

    Handlers run on an event loop of their own, in a thread of its own; leases, renewals and settlements on
    another. So a handler that blocks stops neither the caller's loop nor the renewal of its own lease.
    Start and stop it any number of times, from any loop or thread.
    """

    def __init__(  # noqa: PLR0913  # what it joins, and how it is seen
        self,
        inbox: Inbox,
        hooks: Hooks,
        *,
        settings: ReceiverSettings | None = None,
        meter: Meter | None = None,
        observer: Observer | None = None,
        clock: Callable[[], float] = time.time,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """`clock`: seconds since the epoch, from which retries and snoozes count. `draw`: [0, 1), for jitter."""
        self._settings = settings or ReceiverSettings()
        verdicts = Verdicts(self._settings, clock, draw)
        self._shop = Shop(inbox, hooks, self._settings, verdicts, observer or Observer(), meter or Meter())
        self._session: Session | None = None
        self._guard = threading.Lock()

    @property
    def is_running(self) -> bool:
        """Started, and not told to stop since."""
        session = self._session
        return session is not None and not session.is_stopping

    def start(self) -> None:
        """Returns at once; a worker that runs goes on. One that is stopping starts anew when it has stopped.

        Raises HookError for a handler that this inbox cannot serve.
        """
        self._check()
        with self._guard:
            if not self.is_running:
                session = Session(self._shop, self._session)
                session.start()
                self._session = session

    async def stop(self, timeout: float | None = None) -> None:
        """Lease no more, and return when running handlers have ended and all that is finished is settled.

        What was leased and not begun is released. After `timeout` seconds (the setting `drain_timeout`) async
        handlers are cancelled and their events released, plain ones are left behind: their leases run out.
        """
        session = self._session
        if session is not None:
            session.stop(self._settings.drain_timeout if timeout is None else timeout)
            await asyncio.wrap_future(session.ended)
            session.join()

    async def idle(self) -> None:
        """Return when nothing is due, running or unsettled. An event stored before this call is waited for.

        What is due later (a retry, a snooze) is not. Raises RuntimeError when the worker is not running, or
        stops meanwhile.
        """
        session = self._session
        if session is None or session.is_stopping:
            raise RuntimeError("the worker is not running")
        await asyncio.wrap_future(session.idle())

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _check(self) -> None:
        if self._shop.inbox.capabilities.transactions:
            return
        for handler in self._shop.hooks.handlers:
            if handler.kind is Kind.TRANSACTION:
                raise HookError(f"{handler.name}: transaction=True needs an inbox with transactions; this one has none")
