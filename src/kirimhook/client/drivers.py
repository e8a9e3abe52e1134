"""The two ways to carry calls out: each does what `exchange` says next, until it is done."""

from __future__ import annotations

import asyncio
import logging
import time
from random import SystemRandom
from typing import TYPE_CHECKING, Any, TypeVar

from kirimhook.client.answers import Answer, Page
from kirimhook.client.budget import Budget
from kirimhook.client.calls import Call
from kirimhook.client.exchange import Lost, Patience, Send, Steps, Surroundings, Told, Wait, exchange
from kirimhook.client.listing import AsyncListing, Listing

if TYPE_CHECKING:
    from kirimhook.client.wire import Wire

T = TypeVar("T")

WHOLE = 3
"""Timeouts that an attempt may take in all: for an answer whose head never ends. Only a task can be bounded so."""

_log = logging.getLogger("kirimhook.client")


def surroundings(patience: Patience) -> Surroundings:
    return Surroundings(patience, Budget(), time.time, SystemRandom().random)


def _note(step: Wait) -> None:
    _log.info("waiting %.1f s: %s", step.seconds, step.why, extra={"seconds": step.seconds})


class Blocking:
    """Carries calls out while their caller waits. May be used by several threads."""

    def __init__(self, wire: Wire, patience: Patience) -> None:
        import httpx

        self._wire = wire
        self._around = surroundings(patience)
        self._http = wire.opened(httpx.Client)

    def run(self, call: Call[T]) -> T:
        """Its result. Raises Refused, Unreachable, UnexpectedAnswer."""
        steps: Steps[T] = exchange(call, self._around)
        told: Told = None
        while True:
            try:
                step = steps.send(told)
            except StopIteration as end:
                result: T = end.value
                return result
            told = self._carry_out(step)

    def listing(self, first: Call[Page[T]]) -> Listing[T]:
        return Listing(self.run, first)

    def close(self) -> None:
        self._http.close()

    def _carry_out(self, step: Send | Wait) -> Told:
        if isinstance(step, Send):
            return self._send(step.call)
        _note(step)
        time.sleep(step.seconds)
        return None

    def _send(self, call: Call[Any]) -> Answer | Lost:
        import httpx

        from kirimhook.client.wire import Collected

        try:
            with self._http.stream(**self._wire.request(call)) as response:
                collected = Collected(response, time.monotonic() + self._wire.timeout)
                for part in response.iter_raw():
                    collected.add(part, time.monotonic())
                return collected.answer()
        except (httpx.TransportError, TimeoutError) as error:
            return self._wire.lost(error)


class Awaiting:
    """Carries calls out while their caller's other tasks go on."""

    def __init__(self, wire: Wire, patience: Patience) -> None:
        import httpx

        self._wire = wire
        self._around = surroundings(patience)
        self._http = wire.opened(httpx.AsyncClient)

    async def run(self, call: Call[T]) -> T:
        """Its result. Raises Refused, Unreachable, UnexpectedAnswer."""
        steps: Steps[T] = exchange(call, self._around)
        told: Told = None
        while True:
            try:
                step = steps.send(told)
            except StopIteration as end:
                result: T = end.value
                return result
            told = await self._carry_out(step)

    def listing(self, first: Call[Page[T]]) -> AsyncListing[T]:
        return AsyncListing(self.run, first)

    async def close(self) -> None:
        await self._http.aclose()

    async def _carry_out(self, step: Send | Wait) -> Told:
        if isinstance(step, Send):
            return await self._send(step.call)
        _note(step)
        await asyncio.sleep(step.seconds)
        return None

    async def _send(self, call: Call[Any]) -> Answer | Lost:
        import httpx

        from kirimhook.client.wire import Collected

        try:
            async with (
                asyncio.timeout(WHOLE * self._wire.timeout),
                self._http.stream(**self._wire.request(call)) as response,
            ):
                collected = Collected(response, time.monotonic() + self._wire.timeout)
                async for part in response.aiter_raw():
                    collected.add(part, time.monotonic())
                return collected.answer()
        except (httpx.TransportError, TimeoutError) as error:
            return self._wire.lost(error)
