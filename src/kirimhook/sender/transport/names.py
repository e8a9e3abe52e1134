"""Names to addresses, by the system's resolver: shared, remembered for a moment, never in the way.

`getaddrinfo` cannot be stopped, and a name server that never answers holds its caller for half a minute. So each
look-up has a thread of its own, which nobody waits for at exit; all who ask for one name share one look-up; and
names that were slow or failed last time share slots of their own, so that they cannot take everybody's.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress

REMEMBERED_SECONDS = 10.0
"""How long an answer is used again: what is dialled meanwhile is vetted each time."""
REMEMBERED_NAMES = 4096
SLOW_SECONDS = 1.0
SLOTS = 64
SLOW_SLOTS = 32


def lookup(name: str) -> list[str]:
    """The addresses of a name, in the system's order of preference; blocks. Raises OSError."""
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return list(dict.fromkeys(_text(address) for *_, address in found))


def _text(address: tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]) -> str:
    host = str(address[0])
    zone = address[3] if len(address) == 4 else 0
    return f"{host}%{zone}" if zone and "%" not in host else host


class SystemResolver:
    """A `Resolver` for one event loop. Raises OSError for a name without an address."""

    def __init__(
        self, *, look_up: Callable[[str], list[str]] = lookup, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._look_up = look_up
        self._clock = clock
        self._known: OrderedDict[str, tuple[float, list[str]]] = OrderedDict()
        self._sluggish: OrderedDict[str, None] = OrderedDict()
        self._asked: dict[str, asyncio.Task[list[str]]] = {}
        self._slots = asyncio.Semaphore(SLOTS)
        self._slow_slots = asyncio.Semaphore(SLOW_SLOTS)

    async def __call__(self, name: str) -> Sequence[str]:
        """The addresses of a name. Cancelling one who waits leaves the look-up to the others."""
        known = self._known.get(name)
        if known is not None and known[0] > self._clock():
            return known[1]
        task = self._asked.get(name)
        if task is None:
            task = self._asked[name] = asyncio.get_running_loop().create_task(self._ask(name))
            task.add_done_callback(_retrieved)
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Stop waiting for whatever is still being looked up."""
        tasks = list(self._asked.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask(self, name: str) -> list[str]:
        slots = self._slow_slots if name in self._sluggish else self._slots
        try:
            async with slots:
                began = self._clock()
                try:
                    addresses = await _in_thread(self._look_up, name)
                except OSError:
                    self._note(name, sluggish=True)
                    raise
                self._note(name, sluggish=self._clock() - began > SLOW_SECONDS)
            self._remember(name, addresses)
            return addresses
        finally:
            del self._asked[name]

    def _remember(self, name: str, addresses: list[str]) -> None:
        self._known[name] = (self._clock() + REMEMBERED_SECONDS, addresses)
        self._known.move_to_end(name)
        if len(self._known) > REMEMBERED_NAMES:
            self._known.popitem(last=False)

    def _note(self, name: str, *, sluggish: bool) -> None:
        self._sluggish.pop(name, None)
        if sluggish:
            self._sluggish[name] = None
        if len(self._sluggish) > REMEMBERED_NAMES:
            self._sluggish.popitem(last=False)


def _retrieved(task: asyncio.Task[list[str]]) -> None:
    """Nobody may be left to hear of a failure."""
    if not task.cancelled():
        task.exception()


async def _in_thread(look_up: Callable[[str], list[str]], name: str) -> list[str]:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[list[str]] = loop.create_future()

    def settle(addresses: list[str], error: Exception | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(addresses)
        else:
            future.set_exception(error)

    def run() -> None:
        addresses: list[str] = []
        failure: Exception | None = None
        try:
            addresses = look_up(name)
        except Exception as error:
            failure = error
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, addresses, failure)

    threading.Thread(target=run, name="kirimhook-lookup", daemon=True).start()
    return await future
