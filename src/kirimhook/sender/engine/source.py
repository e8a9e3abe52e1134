"""The queue as the source of the engine's runner: what to lease, what to settle, how long to wait."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Collection, Sequence
from functools import partial
from itertools import count
from typing import NamedTuple

from kirimhook.sender.database import Database
from kirimhook.sender.engine.endpoints import Endpoint, Endpoints, Held
from kirimhook.sender.engine.minutes import Minutes
from kirimhook.sender.engine.results import Finished, Result, Returned
from kirimhook.sender.engine.telemetry import Telemetry
from kirimhook.sender.store import queue, settling
from kirimhook.sender.store.queue import Haul, Order
from kirimhook.settings import SenderSettings

BATCH = 1024
"""Deliveries of one lease, and of one renewal."""
BUSY_WINDOWS = 4
"""How many times `queue.WINDOW` subscriptions one turn looks at, while others are being delivered to."""
SMALL = 16 * 1024
"""Bodies up to so many bytes come along with the lease."""


class Surroundings(NamedTuple):
    """What a source works with. `name` tells this engine's leases from others'."""

    database: Database
    endpoints: Endpoints
    minutes: Minutes
    settings: SenderSettings
    clock: Callable[[], float]
    name: str
    notify: bool


class QueueSource:
    """Lives on the engine's loop. `disabled` hears of endpoints that this engine disabled."""

    def __init__(self, around: Surroundings, telemetry: Telemetry, disabled: Callable[[Endpoint], None]) -> None:
        self._minutes = around.minutes
        self._database = around.database
        self._endpoints = around.endpoints
        self._settings = around.settings
        self._clock = around.clock
        self._telemetry = telemetry
        self._disabled = disabled
        self._rules = settling.Rules(around.settings.disable_after, around.notify)
        self._tokens = (f"{around.name}.{number}" for number in count(1))
        self._small = around.settings.held_bytes // 2
        self._after = ""
        self._is_busy = False
        self._newest: str | None = None
        self._next_due: int | None = None
        self._woken = asyncio.Event()

    def room(self, held: int, results: Sequence[Result]) -> int:
        """What has ended makes room at once: its lease is over, once it is settled, and that is under way."""
        for result in results:
            self._uncount(result.held)
        self._is_busy = held > len(results)
        return min(self._settings.held - (held - len(results)), BATCH)

    async def lease(self, room: int) -> Sequence[Held]:
        """Looks on until there is something, or all has been seen; while something is held, not all at once."""
        begun, wrapped = self._after, self._after == ""
        next_due, oldest = [], []
        for _ in range(BUSY_WINDOWS) if self._is_busy else count():
            order = self._order(room)
            haul = await self._database.write(partial(queue.lease, order=order))
            self._endpoints.learn(haul.endpoints)
            self._after = haul.after
            next_due += [haul.next_due] if haul.next_due is not None else []
            oldest += [haul.oldest] if haul.oldest is not None else []
            if haul.leased:
                self._newest = None
                return self._held(haul, order)
            if wrapped and (not haul.after or haul.after > begun > ""):
                break
            wrapped = wrapped or not haul.after
        else:
            return ()
        self._next_due = min(next_due, default=None)
        self._telemetry.oldest(max(self._clock() - min(oldest) / 1000, 0.0) if oldest else 0.0)
        return ()

    async def renew(self, held: Collection[Held]) -> None:
        """What is lost is not attempted, or, under way, not settled."""
        mine = [each for each in held if not each.is_lost]
        for start in range(0, len(mine), BATCH):
            some = mine[start : start + BATCH]
            until = self._clock() + self._settings.lease
            leases = [(each.delivery.delivery_id, each.token) for each in some]
            kept = await self._database.write(partial(queue.renew, leases=leases, until=int(until * 1000)))
            for each, lease in zip(some, leases, strict=True):
                if lease in kept:
                    each.until = until
                else:
                    each.is_lost = True

    async def settle(self, results: Sequence[Result]) -> Collection[Held]:
        finished = [result for result in results if type(result) is Finished]
        ended = [result.ended for result in finished]
        returned = [_returned(result) for result in results if type(result) is Returned]
        settled = settling.Settled(set(), ())
        if ended or returned:
            settled = await self._write(settling.Batch(ended, returned))
        for result in results:
            if type(result) is Finished and result.ended.lease in settled.held:
                self._telemetry.settled(result)
                self._minutes.count(result)
            elif type(result) is not Returned:
                self._telemetry.lost(result.held)
        for each in settled.disabled:
            self._telemetry.disabled(each)
            endpoint = self._endpoints.get(each.subscription_id)
            if endpoint is not None:
                self._disabled(endpoint)
        return [result.held for result in results]

    async def _write(self, batch: settling.Batch) -> settling.Settled:
        while True:
            try:
                return await self._database.write(partial(settling.settle, batch=batch, rules=self._rules))
            except settling.NeedsLock as needed:
                batch = batch._replace(alone=needed.organisation_ids)

    async def wait(self, timeout: float) -> None:
        """Until the next delivery that was seen is due, or one was made that was not there before."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + timeout
        self._woken.clear()
        if self._newest is None:
            self._newest = await self._database.read(queue.newest)
            return
        while (left := ends - loop.time()) > 0:
            until_due = math.inf if self._next_due is None else self._next_due / 1000 - self._clock()
            if until_due <= 0 or await self._slept(min(self._settings.poll, left, until_due)):
                return
            newest = await self._database.read(queue.newest)
            if newest != self._newest:
                self._newest = newest
                return

    def wake(self) -> None:
        self._woken.set()

    async def _slept(self, seconds: float) -> bool:
        """Whether it was woken meanwhile."""
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            return False
        return True

    def _order(self, room: int) -> Order:
        settings, now = self._settings, self._clock()
        return Order(
            self._after,
            room,
            min(SMALL, max(self._small, 0) // room),
            (settings.held_per_endpoint, min(settings.held_background, settings.held_per_endpoint)),
            self._endpoints.rooms(),
            self._endpoints.versions,
            int(now * 1000),
            int((now + settings.lease) * 1000),
            next(self._tokens),
        )

    def _held(self, haul: Haul, order: Order) -> list[Held]:
        until = order.until / 1000
        leased = []
        for delivery in haul.leased:
            endpoint = self._endpoints[delivery.subscription_id]
            held = Held(delivery, endpoint, order.token, until)
            endpoint.count(delivery.rank, 1)
            if held.body is not None:
                self._small -= delivery.size
            leased.append(held)
        return leased

    def _uncount(self, held: Held) -> None:
        """Results come again when they could not be settled."""
        if held.counted:
            held.counted = False
            held.endpoint.count(held.delivery.rank, -1)
            if held.delivery.body is not None:
                self._small += held.delivery.size


def _returned(result: Returned) -> settling.Returned:
    return settling.Returned(result.held.delivery.delivery_id, result.held.token, result.due_at)
