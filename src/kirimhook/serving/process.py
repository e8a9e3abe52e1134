"""One process that serves: alone, with an admin port of its own, or as the child of a supervisor."""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import uvloop

from kirimhook import __version__
from kirimhook.observe import Observer
from kirimhook.receiver.admin.app import AdminApp
from kirimhook.receiver.admin.report import Fleet
from kirimhook.serving.control import Channel, Order, Word
from kirimhook.serving.listening import (
    Listener,
    address_of,
    admin_server,
    allow_connections,
    check_certificate,
    open_socket,
)
from kirimhook.serving.service import Service
from kirimhook.serving.signals import Signals, obey_parent

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Coroutine

    from kirimhook.receiver.hooks import Hooks
    from kirimhook.serving.control import Inherited
    from kirimhook.serving.options import Options

PLAIN_HINT = "plain HTTP: put a proxy with TLS in front, or give --tls-cert and --tls-key"
SWITCH = 0.0005
"""Seconds a thread may keep Python to itself. With the usual 5 ms, a handler that computes stops the acks."""
LOST_HINT = "this inbox loses events with the process, or with the power: not for production"


class Sockets(NamedTuple):
    """What a whole `serve` listens on."""

    public: socket.socket | None
    admin: socket.socket | None


def open_sockets(options: Options) -> Sockets:
    """Bound once, before anything starts, so that what cannot be had is said at once. Raises `ServeError`."""
    if options.listen is not None:
        allow_connections(options.limits.connections)
        if options.listen.tls is not None:
            check_certificate(options.listen.tls)
    public = open_socket(options.listen.address) if options.listen is not None else None
    return Sockets(public, open_socket(options.admin) if options.admin is not None else None)


def run_alone(options: Options, hooks: Hooks) -> int:
    """Serve until told to stop; the exit code. Raises `ServeError`."""
    return _run(_alone(options, hooks))


def run_as_child(options: Options, hooks: Hooks, given: Inherited) -> int:
    """Serve until the supervisor says so, or is gone. Raises `ServeError`."""
    return _run(_as_child(options, hooks, given))


def _run(main: Coroutine[Any, Any, int]) -> int:
    sys.setswitchinterval(SWITCH)
    gc.freeze()  # what was imported stays; collections need not look at it again
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


async def _alone(options: Options, hooks: Hooks) -> int:
    refreshing = Refreshing()
    signals = Signals(refreshing)
    sockets = open_sockets(options)
    service = Service(options, hooks)
    refreshing.refresh = service.refresh
    began = time.time()

    async def fleet() -> Fleet:
        report = await service.report()
        return Fleet(began, time.time(), 1, (report,), stopping=signals.stopping.is_set())

    await service.start(sockets.public)
    admin = await start_admin(sockets.admin, fleet)
    tell_started(service.observer, options, sockets, durable=service.durable)
    await signals.stopping.wait()
    service.observer.event("serve_stopping", signal=signals.stopped_by)
    await service.stop()
    if admin is not None:
        await admin.stop()
    service.observer.event("serve_stopped")
    return 0


async def _as_child(options: Options, hooks: Hooks, given: Inherited) -> int:
    stopping = asyncio.Event()
    refreshing = Refreshing()
    obey_parent(stopping.set, refreshing)
    channel = await Channel.over(given.control)
    service = Service(options, hooks)
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


async def start_admin(bound: socket.socket | None, fleet: Callable[[], Awaitable[Fleet]]) -> Listener | None:
    if bound is None:
        return None
    listener = Listener(admin_server(AdminApp(fleet, __version__)))
    await listener.start(bound)
    return listener


def tell_started(observer: Observer, options: Options, sockets: Sockets, *, durable: bool = True) -> None:
    """The line that says where it listens: for people, and for whoever started it on port 0."""
    fields: dict[str, Any] = {}
    hints = [] if durable else [LOST_HINT]
    if options.listen is not None and sockets.public is not None:
        address, tls = address_of(sockets.public), options.listen.tls is not None
        fields |= {"url": address.url("https" if tls else "http", options.listen.path), "tls": tls}
        fields |= {"host": address.host, "port": address.port, "path": options.listen.path}
        hints += [] if tls else [PLAIN_HINT]
    if sockets.admin is not None:
        address = address_of(sockets.admin)
        fields |= {"admin_url": address.url("http"), "admin_port": address.port}
    fields |= {"processes": options.processes, "worker": options.work}
    observer.event("serve_started", **fields, hint="; ".join(hints) or None)
