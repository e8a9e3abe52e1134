"""The engine: one runner over the queue, and the attempts that it feeds. Contract section 4.

Several engines share a database; what one of them holds is its own until its lease ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from kirimhook.observe import Meter, Observer
from kirimhook.runner import Pace, Runner
from kirimhook.sender.database import Database
from kirimhook.sender.engine.attempt import Attempts, Transport
from kirimhook.sender.engine.budget import Budget
from kirimhook.sender.engine.dispatch import Dispatch
from kirimhook.sender.engine.endpoints import Endpoint, Endpoints, Held, Opener
from kirimhook.sender.engine.minutes import LAST, Minutes
from kirimhook.sender.engine.results import Lost, Result, Returned
from kirimhook.sender.engine.source import QueueSource, Surroundings
from kirimhook.sender.engine.telemetry import Telemetry
from kirimhook.sender.store import endpoints as stored
from kirimhook.settings import SenderSettings

GRACE = 2.0
"""Seconds to give back what was broken off at the end of a drain."""
TURNS = 0.02
"""Seconds between two turns while there is a lot to do."""


class Engine:
    """Runs once, on one event loop. Database and transport are opened by the caller, and closed after it."""

    def __init__(  # noqa: PLR0913  # what the outside world is, for tests to replace
        self,
        database: Database,
        sealer: Opener,
        transport: Transport,
        settings: SenderSettings,
        *,
        clock: Callable[[], float] = time.time,
        draw: Callable[[], float] = random.random,
        observer: Observer | None = None,
        meter: Meter | None = None,
        notify: bool = False,
    ) -> None:
        """`clock` gives unix seconds, `draw` chance from [0, 1). `notify`: write notices for a `Notifier`."""
        self._database = database
        self._settings = settings
        self._telemetry = Telemetry(observer or Observer(), meter or Meter())
        self._endpoints = Endpoints(sealer, self._telemetry.unusable)
        name = secrets.token_hex(8)
        self._minutes = Minutes(database, self._telemetry, name)
        around = Surroundings(database, self._endpoints, self._minutes, settings, clock, name, notify)
        self._source = QueueSource(around, self._telemetry, self._disabled)
        self._runner: Runner[Held, Result] = Runner(
            self._source,
            self._hand_over,
            Pace(renew=settings.lease / 3, turns=TURNS, poll=settings.refresh),
            outage=self._telemetry.outage,
        )
        budget = Budget(settings.held_bytes // 2)
        attempts = Attempts(database, transport, settings, budget, clock, draw, self._report)
        self._dispatch = Dispatch(settings, clock, attempts.make, self._drop)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._draining = asyncio.Event()
        self._told_to_drain = False
        self._task: asyncio.Task[None] | None = None

    @property
    def held(self) -> int:
        """Deliveries leased, those under way included."""
        return self._runner.held

    @property
    def in_flight(self) -> int:
        return self._dispatch.in_flight

    def start(self) -> None:
        """Begin to run on this loop. `stop` ends it."""
        self._task = asyncio.get_running_loop().create_task(self.run())

    async def stop(self) -> None:
        """Drain, and wait for the end. Raises what ended `run`, if it was a defect."""
        self.drain()
        if self._task is not None:
            await self._task

    def wake(self) -> None:
        """There may be something due: after a publish, or when an injected clock has moved. From any thread."""
        self._runner.nudge()

    def drain(self) -> None:
        """Give back what was not begun, let attempts end for `settings.drain_timeout`, and end. From any thread."""
        self._told_to_drain = True
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has closed: so it has ended
                self._loop.call_soon_threadsafe(self._draining.set)

    async def idle(self) -> None:
        """Wait until a look at the whole queue finds nothing due, and nothing is held.

        RuntimeError when the engine ends before.
        """
        await asyncio.wrap_future(self._runner.idle())

    async def run(self) -> None:
        """Until it was told to drain, and nothing is held."""
        self._loop = asyncio.get_running_loop()
        if self._told_to_drain:
            self._draining.set()
        self._telemetry.started()
        running = asyncio.create_task(self._runner.run())
        summing = asyncio.create_task(self._minutes.run())
        refreshing = asyncio.create_task(self._keep_refreshing())
        draining = asyncio.create_task(self._draining.wait())
        try:
            await asyncio.wait({running, draining}, return_when=asyncio.FIRST_COMPLETED)
            self._telemetry.stopping(self.held)
            await self._drain(running)
        finally:
            await _cancelled(running, refreshing, draining)
            self._dispatch.cancel()
            await self._dispatch.ended()
            self._minutes.stop()
            await asyncio.wait({summing}, timeout=LAST)
            await _cancelled(summing)
            self._telemetry.gauge(0, 0)
            self._telemetry.stopped(self.held)

    async def _drain(self, running: asyncio.Task[None]) -> None:
        self._runner.drain()
        for endpoint in list(self._endpoints.held()):
            self._withdraw(endpoint)
        if not running.done():
            await asyncio.wait({running}, timeout=self._settings.drain_timeout)
        if not running.done():
            self._dispatch.cancel()
            await asyncio.wait({running}, timeout=GRACE)
        if running.done():
            running.result()

    def _hand_over(self, leased: Sequence[Held]) -> None:
        fit = [held for held in leased if held.endpoint.is_active and not self._draining.is_set()]
        if len(fit) < len(leased):
            self._give_back(held for held in leased if held not in fit)
        self._dispatch.add(fit)
        self._telemetry.gauge(self.held, self.in_flight)

    def _report(self, result: Result) -> None:
        self._runner.report(result)
        self._runner.nudge()

    def _drop(self, held: Held) -> None:
        self._report(Lost(held))

    def _disabled(self, endpoint: Endpoint) -> None:
        endpoint.is_active = False
        self._withdraw(endpoint)

    def _withdraw(self, endpoint: Endpoint) -> None:
        self._give_back(self._dispatch.withdraw(endpoint))

    def _give_back(self, some: Iterable[Held]) -> None:
        for held in some:
            self._report(Returned(held, held.delivery.due_at))

    async def _keep_refreshing(self) -> None:
        while True:
            await asyncio.sleep(self._settings.refresh)
            try:
                await self._refresh()
            except Exception as error:  # storage, mostly: the runner meets it too
                self._telemetry.stale(error)

    async def _refresh(self) -> None:
        """See what was changed elsewhere, of the endpoints of which something is held."""
        held = [endpoint for endpoint in self._endpoints.held() if endpoint.is_active]
        self._telemetry.gauge(self.held, self.in_flight)
        if not held:
            return
        ids = [endpoint.id for endpoint in held]
        versions = await self._database.read(partial(stored.versions, ids=ids))
        changed = [each.id for each in held if versions.get(each.id) != (each.version, each.is_active)]
        if changed:
            self._endpoints.learn(await self._database.read(partial(stored.load, ids=changed)))
        for endpoint in held:
            if endpoint.id not in versions or not endpoint.is_active:
                self._disabled(endpoint)


async def _cancelled(*tasks: asyncio.Task[object]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
