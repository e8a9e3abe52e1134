"""What the handlers' loop is doing: a slot for every executor, and the watch over their timeouts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from kirimhook.receiver.hooks import Default, Handler, Hooks
from kirimhook.receiver.model import LeasedEvent
from kirimhook.settings import ReceiverSettings

TICKS = 10
"""Of the shortest timeout: how far a handler may run past its own, at most a second."""


class Slot:
    """One executor, and the handler it runs now. Setting three fields an event is all that a timeout costs."""

    __slots__ = ("deadline", "handler", "in_thread", "leased", "overdue", "task")

    def __init__(self) -> None:
        self.task: asyncio.Task[Any] | None = None
        self.leased: LeasedEvent | None = None
        self.handler: Handler | None = None
        self.deadline: float | None = None
        """On the monotonic clock, while a handler runs that has a timeout and is not overdue yet."""
        self.in_thread = False
        self.overdue = False

    def begin(self, leased: LeasedEvent, handler: Handler, deadline: float | None, *, in_thread: bool) -> None:
        self.leased = leased
        self.handler = handler
        self.in_thread = in_thread
        self.overdue = False
        self.deadline = deadline

    def end(self) -> None:
        """The executor may go on: a cancellation that its timeout asked for has been used up."""
        self.deadline = None
        if self.overdue and not self.in_thread and self.task is not None:
            self.task.uncancel()


class Watch:
    """Cancels async handlers that are overdue; a thread cannot be stopped, so that is only reported, once."""

    def __init__(self, slots: set[Slot], tick: float, overdue: Callable[[LeasedEvent, Handler], None]) -> None:
        self._slots = slots
        self._tick = tick
        self._overdue = overdue
        self._armed = False

    def arm(self) -> None:
        """Look after a tick, and again as long as there are slots. On the handlers' loop."""
        if not self._armed:
            self._armed = True
            asyncio.get_running_loop().call_later(self._tick, self._look)

    def _look(self) -> None:
        now = time.monotonic()
        for slot in self._slots:
            if slot.deadline is not None and now >= slot.deadline:
                self._stop(slot)
        self._armed = False
        if self._slots:
            self.arm()

    def _stop(self, slot: Slot) -> None:
        slot.deadline = None
        slot.overdue = True
        if not slot.in_thread and slot.task is not None:
            slot.task.cancel()
        elif slot.leased is not None and slot.handler is not None:
            self._overdue(slot.leased, slot.handler)


def timeout_of(handler: Handler, settings: ReceiverSettings) -> float | None:
    """Seconds, or None for no bound."""
    return settings.handler_timeout if isinstance(handler.timeout, Default) else handler.timeout


def tick_for(hooks: Hooks, settings: ReceiverSettings) -> float:
    """How often to look, so that the shortest timeout is kept within a tenth."""
    timeouts = [timeout_of(handler, settings) for handler in hooks.handlers]
    shortest = min((timeout for timeout in timeouts if timeout is not None), default=TICKS)
    return min(max(shortest / TICKS, 0.005), 1.0)
