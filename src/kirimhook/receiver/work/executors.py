"""The handlers' loop: a bounded number of executors that take runs from a queue.

No task is made for an event, no timer is set for one, and no thread is woken for one: a handler that returns
at once costs a few microseconds. What ended is reported to the control loop in batches.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from functools import partial
from logging import DEBUG
from typing import NamedTuple, Protocol

from kirimhook.observe import Meter, Observer
from kirimhook.receiver.hooks import Handler, Hooks
from kirimhook.receiver.inbox import Inbox
from kirimhook.receiver.model import LeasedEvent
from kirimhook.receiver.work.attempt import Attempts, Parts
from kirimhook.receiver.work.course import Course, released
from kirimhook.receiver.work.run import Finished, Flush, Report, Run
from kirimhook.receiver.work.slots import Slot, Watch, tick_for, timeout_of
from kirimhook.receiver.work.threads import HandlerThreads, LoopThread
from kirimhook.receiver.work.verdict import Verdicts, named
from kirimhook.settings import ReceiverSettings

YIELD_EVERY = 16
"""Runs that one executor goes through before the others get a turn, when its handler never waits."""


class Shop(NamedTuple):
    """What a worker works with."""

    inbox: Inbox
    hooks: Hooks
    settings: ReceiverSettings
    verdicts: Verdicts
    observer: Observer
    meter: Meter


class HandIn(Protocol):
    """Where results go, from any thread."""

    def report(self, result: Report, /) -> None: ...

    def nudge(self) -> None:
        """After a batch of results."""

    def hurry(self) -> None:
        """After a result that is waited for."""


class Executors:
    """`start`, `hand_over`, `drain`, `cancel` and `stop` are for other threads; the rest is the loop's own."""

    def __init__(self, shop: Shop, hand_in: HandIn) -> None:
        self._settings = shop.settings
        self._observer = shop.observer
        self._gauges = shop.meter.gauges
        self._hand_in = hand_in
        self._thread = LoopThread("kirimhook-handlers", self._broken)
        self._threads = HandlerThreads(self._thread.loop, "kirimhook-handler")
        parts = Parts(shop.inbox, shop.settings, shop.verdicts, self._threads, shop.observer, shop.meter)
        self._attempts = Attempts(parts)
        self._course = Course(shop.hooks, shop.verdicts, self._attempts, self._report, self._settled)
        self._waiting: deque[Run] = deque()
        self._alone: Run | None = None
        self._slots: set[Slot] = set()
        self._watch = Watch(self._slots, tick_for(shop.hooks, shop.settings), self._overdue)
        self._reporting = False

    def start(self) -> None:
        self._thread.start()

    def hand_over(self, runs: Sequence[Run]) -> None:
        """Queue leased runs. A suspect waits until nothing else runs; nothing may be handed over beside it."""
        self._thread.call_soon(self._take, runs)

    def drain(self) -> None:
        """Begin no other event. What was not begun is released."""
        self._course.draining = True
        self._thread.call_soon(self._release)

    def cancel(self) -> None:
        """Let no handler go on: async ones are cancelled and their events released, threads given up."""
        self._thread.call_soon(self._cancel)

    def stop(self, timeout: float) -> bool:
        """End the threads. False when a handler keeps one for longer than `timeout` seconds."""
        ended = self._thread.stop(timeout)
        return self._threads.stop(timeout) == 0 and ended

    def _take(self, runs: Sequence[Run]) -> None:
        self._course.shows_done = self._observer.is_enabled(DEBUG)
        for run in runs:
            if run.suspect:
                self._alone = run
            else:
                self._waiting.append(run)
        if self._course.draining:
            self._release()
        self._spawn()

    def _release(self) -> None:
        runs, self._alone = [*self._waiting, *filter(None, [self._alone])], None
        self._waiting.clear()
        for run in runs:
            self._report(released(run))

    def _cancel(self) -> None:
        self._attempts.stopping = True
        for slot in self._slots:
            if slot.task is not None:
                slot.task.cancel()

    def _spawn(self) -> None:
        if self._alone is not None and not self._slots and not self._waiting:
            self._waiting.append(self._alone)
            self._alone = None
        for _ in range(min(len(self._waiting), self._settings.concurrency - len(self._slots))):
            slot = Slot()
            self._slots.add(slot)
            slot.task = self._thread.loop.create_task(self._execute(slot), context=self._course.context.copy())
            slot.task.add_done_callback(partial(self._executed, slot))
            self._watch.arm()
        self._gauges["kirimhook_handlers_running"] = len(self._slots)

    async def _execute(self, slot: Slot) -> None:
        turns = 0
        while self._waiting:
            run = self._waiting.popleft()
            try:
                through = await self._course.take(run, slot)
            except BaseException:
                self._report(Finished(run, None))
                raise
            if not through:
                self._waiting.appendleft(run)
            if not self._course.is_clean():
                return
            turns += 1
            if turns % YIELD_EVERY == 0:
                await asyncio.sleep(0)

    def _executed(self, slot: Slot, task: asyncio.Task[None]) -> None:
        self._slots.discard(slot)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._broken(error)
        self._spawn()

    def _report(self, report: Report) -> None:
        self._hand_in.report(report)
        if not self._reporting:
            self._reporting = True
            self._thread.loop.call_soon(self._reported)

    def _reported(self) -> None:
        """Once for everything that ended since the loop last came round."""
        self._reporting = False
        self._hand_in.nudge()

    async def _settled(self) -> None:
        future: asyncio.Future[None] = self._thread.loop.create_future()
        self._hand_in.report(Flush(lambda: self._thread.call_soon(_resolve, future)))
        self._hand_in.hurry()
        await future

    def _overdue(self, leased: LeasedEvent, handler: Handler) -> None:
        timeout = timeout_of(handler, self._settings)
        self._observer.event("handler_overdue", timeout=timeout, **named(leased, handler))

    def _broken(self, error: BaseException) -> None:
        self._observer.event("handlers_loop_broken", error=error)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
