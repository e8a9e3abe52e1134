"""Puts from any loop, gathered for the one who commits them."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from kirimhook.backends.admission import Admission
from kirimhook.backends.settings import InboxSettings
from kirimhook.backends.waiters import Resolution, Waiters
from kirimhook.receiver.inbox import InboxUnavailable
from kirimhook.receiver.model import InboundEvent, Receipt


class Put(NamedTuple):
    """One call of `Inbox.put`."""

    events: Sequence[InboundEvent]
    weight: int
    future: asyncio.Future[list[Receipt]]
    waiters: Waiters


class Arrivals:
    """`put` from any loop; `take` and the answers from the one who commits."""

    def __init__(self, settings: InboxSettings, stir: Callable[[], None]) -> None:
        """`stir` is called, from any thread, when something begins to wait."""
        self._bound = settings.commit_bound
        self._admission = Admission(settings)
        self._stir = stir
        self._puts: deque[Put] = deque()
        self._waiters: dict[asyncio.AbstractEventLoop, Waiters] = {}
        self._guard = threading.Lock()
        self._open = True

    async def put(self, events: Sequence[InboundEvent]) -> list[Receipt]:
        """Raises `InboxBusy`, `InboxUnavailable`."""
        weight = sum(len(event.body) for event in events)
        with self._guard:
            if not self._open:
                raise InboxUnavailable("closed", "open the inbox first")
            self._admission.admit(len(events), weight)
            waiters = self._waiters_here()
            future = waiters.bounded_future()
            was_empty = not self._puts
            self._puts.append(Put(events, weight, future, waiters))
        if was_empty:
            self._stir()
        receipts: list[Receipt] = await future
        return receipts

    def take(self, most: int) -> list[Put]:
        """Whole calls, with at most `most` events, or one call with more. Empty: nothing waits."""
        taken: list[Put] = []
        count = 0
        with self._guard:
            while self._puts and (not taken or count + len(self._puts[0].events) <= most):
                taken.append(self._puts.popleft())
                count += len(taken[-1].events)
        for put in taken:
            self._admission.taken(len(put.events), put.weight)
        return taken

    def close(self) -> None:
        """No more. What waits is still to be taken."""
        with self._guard:
            self._open = False

    def _waiters_here(self) -> Waiters:
        loop = asyncio.get_running_loop()
        waiters = self._waiters.get(loop)
        if waiters is None:
            self._waiters = {known: kept for known, kept in self._waiters.items() if not known.is_closed()}
            waiters = self._waiters[loop] = Waiters(loop, self._bound)
        return waiters


def answer(answers: Iterable[tuple[Put, list[Receipt] | BaseException]]) -> None:
    """Tell each caller, on its own loop: its receipts, or an error of its own."""
    by_loop: dict[Waiters, list[Resolution]] = {}
    for put, result in answers:
        error = result if isinstance(result, BaseException) else None
        by_loop.setdefault(put.waiters, []).append((put.future, result, error))
    for waiters, resolutions in by_loop.items():
        waiters.resolve_soon(resolutions)
