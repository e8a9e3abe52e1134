"""The loop that both halves share: lease work, hand it over, renew it while it is held, settle what came of it.

A runner lives on one event loop and decides only *when* to call its source. What gathered during one turn is
settled in the next, together with the next lease, so that a source which groups its writes commits both at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

Work = TypeVar("Work")
Result = TypeVar("Result")
Taken_contra = TypeVar("Taken_contra", contravariant=True)


class Source(Protocol[Work, Taken_contra]):
    """Gives work out under leases and takes back what came of it.

    Any exception of a verb means: not now. It is called again later; results are kept, and come again.
    """

    def room(self, held: int, results: Sequence[Taken_contra]) -> int:
        """How much to lease while `results` are being settled; `held` still counts their work. 0: nothing."""
        ...

    async def lease(self, room: int) -> Sequence[Work]: ...

    async def renew(self, held: Collection[Work]) -> None: ...

    async def settle(self, results: Sequence[Taken_contra]) -> Collection[Work]:
        """Write the results, in order. Returns the work that is over, and held no longer."""
        ...

    async def wait(self, timeout: float) -> None:
        """Return when there may be something to lease: at once if there is."""
        ...


@dataclass(frozen=True, slots=True)
class Pace:
    """How often a runner does what, in seconds."""

    renew: float
    """Between renewals of what is held: a third of a lease."""
    turns: float = 0.005
    """Between two turns while there is a lot to do: what comes in meanwhile shares a commit."""
    poll: float = 30.0
    """Longest time without a lease while there is room, whatever the source says."""
    outage: float = 0.05
    longest_outage: float = 5.0
    """Pause after a failure, and what it doubles up to."""
    empty: float = 0.1
    """Longest pause after leases that came back empty although the source saw work."""


class Runner(Generic[Work, Result]):
    """Runs once. `run` returns when it was told to drain and nothing is held any more.

    `report`, `nudge`, `drain` and `idle` may be called from any thread.
    """

    def __init__(
        self,
        source: Source[Work, Result],
        hand_over: Callable[[Sequence[Work]], None],
        pace: Pace,
        *,
        outage: Callable[[Exception | None], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Calls `hand_over` with what was leased; `outage` with the first error of an outage, None at its end."""
        self._source = source
        self._hand_over = hand_over
        self._pace = pace
        self._outage = outage
        self._clock = clock
        self._loop: asyncio.AbstractEventLoop | None = None
        self._awake = asyncio.Event()
        self._awake.set()
        self._hurry = asyncio.Event()
        self._no_pause = asyncio.Event()
        self._nudged = False
        self._draining = False
        self._results: deque[Result] = deque()
        self._held: set[Work] = set()
        self._failures = 0
        self._empty = 0
        self._renew_at = 0.0
        self._turned_at = float("-inf")
        self._sentry: asyncio.Task[None] | None = None
        self._over = False
        self._idlers: deque[Future[None]] = deque()
        self._asking: list[Future[None]] = []
        self.report = self._results.append
        """Hand in a result. `nudge` after a batch of them."""

    @property
    def held(self) -> int:
        return len(self._held)

    def nudge(self) -> None:
        """Results are in."""
        if not self._nudged:
            self._nudged = True
            self._call_soon(self._awake.set)

    def hurry(self) -> None:
        """Results are in, and somebody waits for them to be settled."""
        self._call_soon(self._awake.set, self._hurry.set)

    def drain(self) -> None:
        """Lease no more, and return once nothing is held."""
        self._draining = True
        self._call_soon(self._awake.set, self._hurry.set, self._no_pause.set)

    def idle(self) -> Future[None]:
        """Done when a lease begun after this call finds nothing due, and nothing held. RuntimeError at the end."""
        future: Future[None] = Future()
        self._idlers.append(future)
        self.hurry()
        if self._over:
            self.close()
        return future

    async def run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._renew_at = self._clock() + self._pace.renew
        try:
            while not (self._draining and not self._held and not self._results):
                await self._rest()
                await self._turn()
        finally:
            self._loop = None
            self.close()

    def _call_soon(self, *callbacks: Callable[[], None]) -> None:
        """Before the loop runs there is nothing to wake, and after it nobody."""
        loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):
                for callback in callbacks:
                    loop.call_soon_threadsafe(callback)

    async def _rest(self) -> None:
        """Until something happens. In an outage only time counts, or a storm of results would make it spin."""
        if self._failures:
            doubled = self._pace.outage * 2.0 ** min(self._failures - 1, 16)
            await _signal(self._no_pause, min(doubled, self._pace.longest_outage))
        else:
            await _signal(self._awake, self._renew_at - self._clock() if self._held else None)
            if not self._asking and not self._draining:
                await _signal(self._hurry, self._turned_at + self._pace.turns - self._clock())
        self._no_pause.clear()

    async def _turn(self) -> None:
        self._turned_at = self._clock()
        self._awake.clear()
        self._hurry.clear()
        self._nudged = False
        results = [self._results.popleft() for _ in range(len(self._results))]
        self._asking += [self._idlers.popleft() for _ in range(len(self._idlers))]
        room = 0 if self._draining else self._source.room(len(self._held), results)
        settling, leasing = await asyncio.gather(self._settle(results), self._lease(room))
        renewing = await self._renew()  # last: which event a lease sits on depends on what was settled
        self._note(settling or leasing or renewing)
        if self._results and not self._failures:
            self._awake.set()
        if room > 0 and self._is_quiet():
            self._answer(None)

    async def _settle(self, results: list[Result]) -> Exception | None:
        try:
            if results:
                self._held.difference_update(await self._source.settle(results))
        except Exception as error:  # reported by `outage`
            self._results.extendleft(reversed(results))
            return error
        return None

    async def _lease(self, room: int) -> Exception | None:
        if room <= 0:
            return None
        try:
            leased = await self._source.lease(room)
        except Exception as error:  # reported by `outage`
            return error
        if leased:
            self._empty = 0
            self._held.update(leased)
            self._hand_over(leased)
            self._awake.set()  # where there was some there may be more
        else:
            self._empty += 1
            if self._sentry is None:
                self._sentry = asyncio.create_task(self._watch())
        return None

    async def _renew(self) -> Exception | None:
        now = self._clock()
        if now < self._renew_at:
            return None
        try:
            if self._held:
                await self._source.renew(self._held)
        except Exception as error:  # reported by `outage`
            return error
        self._renew_at = now + self._pace.renew
        return None

    async def _watch(self) -> None:
        """Wake up when there is work again. What looks like work and is not must not make the runner spin."""
        if self._empty > 1:
            await asyncio.sleep(min(0.005 * 2.0 ** min(self._empty, 16), self._pace.empty))
        begun = self._clock()
        try:
            await self._source.wait(self._pace.poll)
        except Exception:  # the lease that follows says what is wrong
            await asyncio.sleep(self._pace.empty)
        if self._clock() - begun > self._pace.empty:
            self._empty = 0
        self._sentry = None
        self._awake.set()

    def _note(self, error: Exception | None) -> None:
        if error is not None:
            self._failures += 1
            if self._failures == 1:
                self._outage(error)
        elif self._failures:
            self._failures = 0
            self._awake.set()
            self._outage(None)

    def _is_quiet(self) -> bool:
        """Whether nothing is due, held or unsettled, as far as a turn with a lease could see."""
        return not (self._failures or self._held or self._results) and self._empty > 0

    def _answer(self, error: Exception | None) -> None:
        asking, self._asking = self._asking, []
        for future in asking:
            if not future.set_running_or_notify_cancel():
                continue
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)

    def close(self) -> None:
        """After `run`, or instead of it: nobody waits any longer."""
        self._over = True
        if self._sentry is not None:
            self._sentry.cancel()
        with contextlib.suppress(IndexError):
            while True:
                self._asking.append(self._idlers.popleft())
        self._answer(RuntimeError("it was stopped"))


async def _signal(event: asyncio.Event, timeout: float | None) -> None:
    """Wait for it, and no longer than `timeout` seconds."""
    if timeout is not None and timeout <= 0:
        return
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout):
            await event.wait()
