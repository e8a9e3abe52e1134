"""Several processes on one socket: started, restarted when they crash, stopped together, and totalled.

The supervisor runs no user's code and opens no storage, but for a handle on the inbox when somebody looks at the admin
port's pages: it has nothing of its own whose failure would matter.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kirimhook.observe import Observer
from kirimhook.serving.admin_port import AdminPort
from kirimhook.serving.children import Child
from kirimhook.serving.options import ServeError
from kirimhook.serving.server import DRAIN
from kirimhook.serving.signals import Signals

if TYPE_CHECKING:
    from kirimhook.admin.report import AnyFleet, ProcessReport
    from kirimhook.serving.plan import Plan

ANSWER = 1.5
"""Seconds a child has to report before what it said last stands for it."""
MARGIN = 5.0
"""Seconds beyond its own bounds that a draining child may take before it is killed."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Seconds before a child is replaced; doubled while replacements do not live long."""

    shortest: float = 0.2
    longest: float = 30.0
    long_life: float = 30.0
    hopeless: int = 6
    """So many in a row that never served, while no other serves either, end the whole."""

    def before(self, failures: int) -> float:
        doublings = min(max(failures - 1, 0), 64)  # or a child that fails for ever would overflow a float
        return min(self.shortest * 2.0**doublings, self.longest)


class Slot:
    """The place of one child, and of those that come after it."""

    def __init__(self) -> None:
        self.child: Child | None = None
        self.failures = 0
        """Children in a row that did not live long."""
        self.stillborn = 0
        """Of these, in a row, that never served."""


def supervise(plan: Plan, command: Sequence[str], backoff: Backoff | None = None) -> int:
    """Run `command` `plan.processes` times until told to stop; the exit code. Raises `ServeError`."""
    return asyncio.run(Supervisor(plan, command, backoff or Backoff()).run())


class Supervisor:
    """Runs once."""

    def __init__(self, plan: Plan, command: Sequence[str], backoff: Backoff) -> None:
        self._plan = plan
        self._command = command
        self._backoff = backoff
        self._observer = Observer()
        self._slots = [Slot() for _ in range(plan.processes)]
        self._ended = plan.totals
        self._restarts = 0
        self._began = time.time()
        self._failure = ""

    async def run(self) -> int:
        self._signals = Signals(self._refresh, self._end_now)
        self._stopping = self._signals.stopping
        self._sockets = self._plan.open_sockets()
        keeping: list[asyncio.Task[None]] = []
        admin = AdminPort()
        try:
            keeping = await self._start_all()
            admin = await AdminPort.start(self._sockets.admin, self._plan.admin(self._fleet, self._counts, None))
            if keeping:
                self._plan.tell_started(self._observer, self._sockets, None)
            await self._stopping.wait()
        finally:
            admin.quiet()
            clean = await self._stop_all(keeping)
            await admin.stop()
        if self._failure:
            raise ServeError(self._failure)
        self._plan.tell_stopped(self._observer)
        return 0 if clean else 1

    async def _start_all(self) -> list[asyncio.Task[None]]:
        """The first alone: what is wrong with the command is then said once, and the storage is made once."""
        for slots in (self._slots[:1], self._slots[1:]):
            await asyncio.gather(*(self._start(slot) for slot in slots))
            ready = asyncio.gather(*(slot.child.ready() for slot in slots if slot.child is not None))
            if await _first(self._stopping, ready):
                return []
            if not all(await ready):
                self._give_up("a process could not start; what it said is above")
                return []
        return [asyncio.create_task(self._keep(slot)) for slot in self._slots]

    async def _start(self, slot: Slot) -> None:
        slot.child = await Child.start(self._command, self._sockets.public, self._plan.read_report)
        self._observer.event("process_started", child=slot.child.pid)
        if self._stopping.is_set():
            slot.child.stop()

    async def _keep(self, slot: Slot) -> None:
        """Replace the child of this place whenever it ends, until all shall stop."""
        while slot.child is not None:
            began, child = time.monotonic(), slot.child
            served = await child.ready()
            code = await child.ended()
            if self._stopping.is_set():
                return
            await self._bury(slot, child)
            delay = self._delay(slot, served=served, lived=time.monotonic() - began)
            self._observer.event("process_ended", child=child.pid, how=_how(code), restart_in=delay)
            if self._stopping.is_set() or await _happens(self._stopping, delay):
                return
            self._restarts += 1
            await self._start(slot)

    def _delay(self, slot: Slot, *, served: bool, lived: float) -> float:
        long = served and lived >= self._backoff.long_life
        slot.failures = 0 if long else slot.failures + 1
        slot.stillborn = 0 if served else slot.stillborn + 1
        if slot.stillborn >= self._backoff.hopeless and not any(map(_serves, self._slots)):
            self._give_up(f"processes could not be started {slot.stillborn} times in a row")
        return self._backoff.before(slot.failures)

    async def _bury(self, slot: Slot, child: Child) -> None:
        """Its counts stay."""
        slot.child = None
        if child.counted is not None:
            self._ended = self._ended.plus_ended(child.counted)
        await child.close()

    def _give_up(self, why: str) -> None:
        self._failure = why
        self._stopping.set()

    async def _stop_all(self, keeping: list[asyncio.Task[None]]) -> bool:
        """Whether every child that served drained by itself, within its bounds."""
        self._plan.tell_stopping(self._observer, self._signals.stopped_by or None)
        self._stopping.set()
        if self._sockets.public is not None:
            self._sockets.public.close()  # or new connections would queue up with nobody to take them
        children = [slot.child for slot in self._slots if slot.child is not None]
        serving = [child for child in children if child.is_ready]  # one that starts has nothing to drain: it just ends
        for child in children:
            child.stop()
        await self._wait_for(children)
        clean = all([await child.ended() == 0 for child in serving])
        await asyncio.gather(*keeping)
        for slot in self._slots:
            if slot.child is not None:
                await slot.child.close()
        return clean

    async def _wait_for(self, children: list[Child]) -> None:
        if not children:
            return
        bound = max(DRAIN, self._plan.drain) + MARGIN
        waiting = [asyncio.create_task(child.ended()) for child in children]
        _, late = await asyncio.wait(waiting, timeout=bound)
        if late:
            for child in children:
                child.kill()
            await asyncio.wait(waiting)
            self._observer.event("process_killed", processes=len(late), after=bound)

    def _refresh(self) -> None:
        for slot in self._slots:
            if slot.child is not None:
                slot.child.refresh()

    def _end_now(self, code: int) -> None:
        for slot in self._slots:
            if slot.child is not None:
                slot.child.kill()
        os._exit(code)

    async def _fleet(self) -> AnyFleet:
        return await self._together(lambda child: child.ask(ANSWER), lambda child: child.last)

    async def _counts(self) -> AnyFleet:
        return await self._together(lambda child: child.ask_counts(ANSWER), lambda child: child.counted)

    async def _together(
        self, ask: Callable[[Child], Awaitable[bool]], said: Callable[[Child], ProcessReport | None]
    ) -> AnyFleet:
        asked = [slot.child for slot in self._slots if slot.child is not None]
        answered = dict(zip(asked, await asyncio.gather(*map(ask, asked)), strict=True))
        # one that was buried while the others were asked is in `_ended` now, and must not count twice
        there = [child for slot in self._slots if (child := slot.child) is not None and said(child) is not None]
        return self._plan.fleet(
            self._began,
            time.time(),
            self._plan.processes,
            tuple(report for child in there if (report := said(child)) is not None),
            self._ended,
            self._restarts,
            sum(not answered.get(child, False) for child in there),
            self._stopping.is_set(),
        )


def _serves(slot: Slot) -> bool:
    return slot.child is not None and slot.child.is_ready


def _how(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


async def _first(event: asyncio.Event, other: asyncio.Future[list[bool]]) -> bool:
    """Wait for either; whether it was the event."""
    waiting: asyncio.Future[Any] = asyncio.ensure_future(event.wait())
    await asyncio.wait([waiting, other], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    return event.is_set()


async def _happens(event: asyncio.Event, within: float) -> bool:
    try:
        async with asyncio.timeout(within):
            await event.wait()
    except TimeoutError:
        return False
    return True
