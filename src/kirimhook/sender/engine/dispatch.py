"""Who goes next: each endpoint has so many attempts under way at most, and all together have so many.

Live traffic goes before what waits in the background of the same endpoint. Endpoints that wait for room among all
take turns. An attempt is made by a task that goes on with the next delivery as long as there is one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable

from kirimhook.sender.engine.endpoints import Endpoint, Held
from kirimhook.sender.engine.pacing import WIDTH, Growth, Pacing
from kirimhook.settings import SenderSettings


class Dispatch:
    """Lives on the engine's loop. `attempt` never raises but CancelledError; `drop` gets what has been lost."""

    def __init__(
        self,
        settings: SenderSettings,
        clock: Callable[[], float],
        attempt: Callable[[Held], Awaitable[None]],
        drop: Callable[[Held], None],
    ) -> None:
        self._most = settings.in_flight
        self._most_each = settings.in_flight_per_endpoint
        self._clock = clock
        self._attempt = attempt
        self._drop = drop
        self._starved: deque[Endpoint] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._pacing = Pacing(self._resume)
        self._growth = Growth()
        self.in_flight = 0

    def add(self, leased: Iterable[Held]) -> None:
        endpoints: dict[Endpoint, None] = {}
        for held in leased:
            held.endpoint.line(held.delivery.rank).append(held)
            endpoints[held.endpoint] = None
        for endpoint in endpoints:
            self._pump(endpoint)

    def withdraw(self, endpoint: Endpoint) -> list[Held]:
        """Those of which no attempt has begun."""
        waiting = [*endpoint.live, *endpoint.background]
        endpoint.live.clear()
        endpoint.background.clear()
        return waiting

    async def ended(self) -> None:
        """Wait for the attempts under way."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def cancel(self) -> None:
        """Break off the attempts under way."""
        for task in self._tasks:
            task.cancel()

    def _pump(self, endpoint: Endpoint) -> None:
        self._widen(endpoint)
        while endpoint.in_flight < endpoint.width:
            if self.in_flight >= self._most or not self._pacing.is_open:
                self._starve(endpoint)
                return
            held = self._take(endpoint)
            if held is None:
                return
            self._start(held)

    def _widen(self, endpoint: Endpoint) -> None:
        """An endpoint that has more to do than its width gets more, as far as connections may be opened."""
        most = min(self._most_each, endpoint.in_flight + len(endpoint.live) + len(endpoint.background))
        if endpoint.width == 0:
            endpoint.width = min(WIDTH, self._most_each)
        if most > endpoint.width:
            endpoint.width += self._growth.more(most - endpoint.width)

    def _resume(self) -> None:
        """There is room again: those that wait for it take turns."""
        while self._starved and self.in_flight < self._most and self._pacing.is_open:
            held = self._take_starved()
            if held is not None:
                self._start(held)

    def _start(self, held: Held) -> None:
        task = asyncio.get_running_loop().create_task(self._work(held))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _starve(self, endpoint: Endpoint) -> None:
        if not endpoint.is_starved and endpoint.is_waiting:
            endpoint.is_starved = True
            self._starved.append(endpoint)

    async def _work(self, first: Held) -> None:
        held: Held | None = first
        while held is not None:
            endpoint = held.endpoint
            try:
                await self._attempt(held)
            finally:
                endpoint.in_flight -= 1
                self.in_flight -= 1
                self._pacing.end(held.begun)
            held = self._next(endpoint)

    def _next(self, endpoint: Endpoint) -> Held | None:
        """After an attempt to this endpoint: of one that has waited for room, or another of its own."""
        if not self._pacing.is_open:
            self._starve(endpoint)
            return None
        if self._starved:
            self._starve(endpoint)
        while self._starved:
            held = self._take_starved()
            if held is not None:
                return held
        return self._take(endpoint)

    def _take_starved(self) -> Held | None:
        endpoint = self._starved.popleft()
        endpoint.is_starved = False
        held = self._take(endpoint) if endpoint.in_flight < endpoint.width else None
        if held is not None:
            self._starve(endpoint)
        return held

    def _take(self, endpoint: Endpoint) -> Held | None:
        while endpoint.live or endpoint.background:
            held = (endpoint.live or endpoint.background).popleft()
            if held.is_lost or self._clock() >= held.until:
                held.is_lost = True
                self._drop(held)
                continue
            endpoint.in_flight += 1
            self.in_flight += 1
            held.begun = self._pacing.begin()
            return held
        return None
