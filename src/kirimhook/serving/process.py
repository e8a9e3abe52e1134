"""One process that serves: alone, with an admin port of its own, or as the child of a supervisor."""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from typing import TYPE_CHECKING, Any

import uvloop

from kirimhook.serving.admin_port import AdminPort
from kirimhook.serving.control import Channel, Order, Word
from kirimhook.serving.signals import Signals, obey_parent

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from kirimhook.admin.report import AnyFleet, ProcessReport
    from kirimhook.serving.control import Inherited
    from kirimhook.serving.plan import Plan, Service

SWITCH = 0.0005
"""Seconds a thread may keep Python to itself. With the usual 5 ms, a handler that computes stops the acks."""


def run_alone(plan: Plan, make: Callable[[], Service]) -> int:
    """Serve until told to stop; the exit code. Raises `ServeError`."""
    return _run(_alone(plan, make))


def run_as_child(make: Callable[[], Service], given: Inherited) -> int:
    """Serve until the supervisor says so, or is gone. Raises `ServeError`."""
    return _run(_as_child(make, given))


def _run(main: Coroutine[Any, Any, int]) -> int:
    sys.setswitchinterval(SWITCH)
    gc.freeze()  # what was imported stays; collections need not look at it again
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


async def _alone(plan: Plan, make: Callable[[], Service]) -> int:
    refreshing = Refreshing()
    signals = Signals(refreshing)
    sockets = plan.open_sockets()
    service = make()
    refreshing.refresh = service.refresh
    began = time.time()

    async def together(said: Awaitable[ProcessReport]) -> AnyFleet:
        report = await said
        return plan.fleet(began, time.time(), 1, (report,), plan.totals, stopping=signals.stopping.is_set())

    await service.start(sockets.public)
    admin = await AdminPort.start(
        sockets.admin, plan.admin(lambda: together(service.report()), lambda: together(service.counts()), service)
    )
    plan.tell_started(service.observer, sockets, service)
    await signals.stopping.wait()
    plan.tell_stopping(service.observer, signals.stopped_by)
    admin.quiet()
    await service.stop()
    await admin.stop()
    plan.tell_stopped(service.observer)
    return 0


async def _as_child(make: Callable[[], Service], given: Inherited) -> int:
    stopping = asyncio.Event()
    refreshing = Refreshing()
    obey_parent(stopping.set, refreshing)
    channel = await Channel.over(given.control)
    service = make()
    refreshing.refresh = service.refresh
    await service.start(given.listening)
    channel.say({"is": Word.READY})
    obeying = asyncio.create_task(_obey(channel, service, refreshing, stopping))
    await stopping.wait()
    await service.stop()
    await _tell(channel, service)
    obeying.cancel()
    await channel.close()
    return 0


async def _obey(channel: Channel, service: Service, refresh: Callable[[], None], stopping: asyncio.Event) -> None:
    while (order := await channel.hear()) is not None:
        match order.get("do"):
            case Order.REPORT:
                await _tell(channel, service)
            case Order.COUNTS:
                channel.say({"is": Word.COUNTS, "report": (await service.counts()).to_json()})
            case Order.REFRESH:
                refresh()
            case Order.STOP:
                stopping.set()
    stopping.set()  # the supervisor is gone


async def _tell(channel: Channel, service: Service) -> None:
    report = await service.report()
    channel.say({"is": Word.REPORT, "report": report.to_json()})


class Refreshing:
    """Runs refreshes one after the other, each begun after it was asked for. Before there is one to run: nothing."""

    def __init__(self) -> None:
        self.refresh: Callable[[], Awaitable[None]] | None = None
        self._running: asyncio.Task[None] | None = None
        self._again = False

    def __call__(self) -> None:
        self._again = True
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while self._again and self.refresh is not None:
            self._again = False
            await self.refresh()
