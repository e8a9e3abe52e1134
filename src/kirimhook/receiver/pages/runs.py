"""Putting back many events: a run in the background, in bounded steps, that can be watched and stopped.

A run goes upwards by number, once, up to the newest event of its beginning: so a key's events come in their order,
and what fails again is not put back again. It lives in the memory of the process that shows the pages. Where that
ends, what was put back stays so, and the same run begun anew goes on with the rest.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from kirimhook.receiver.inbox import Filter, InboxUnavailable, PayloadPurged
from kirimhook.receiver.model import FINISHED
from kirimhook.receiver.pages.search import SLOW, WIDE, Counted, Span, Stride, span

if TYPE_CHECKING:
    from kirimhook.observe import Observer
    from kirimhook.receiver.inbox import Inbox
    from kirimhook.receiver.pages.background import Background
    from kirimhook.receiver.pages.chosen import Chosen
    from kirimhook.receiver.pages.handle import Handle

STEP = 200
"""Events put back at a time, at most; `LARGE` where the inbox takes long to find any."""
LARGE = 2_000
KEPT = 20
"""Runs that are remembered."""
AGAIN = 2.0
"""Seconds before an inbox that did not answer is asked anew."""


class RunState(StrEnum):
    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"
    """By a defect of ours; the log has it."""


MOVES: dict[RunState, frozenset[RunState]] = {
    RunState.RUNNING: frozenset({RunState.DONE, RunState.STOPPED, RunState.FAILED}),
    RunState.DONE: frozenset(),
    RunState.STOPPED: frozenset(),
    RunState.FAILED: frozenset(),
}


@dataclass(slots=True)
class Run:
    """One put-back of what `where` means. Times are seconds since the epoch."""

    id: str
    chosen: Chosen | None
    """What was asked for; None where events were picked by hand."""
    where: Filter
    expected: Counted
    """How many there were when it was asked for."""
    started_at: float
    state: RunState = RunState.RUNNING
    ended_at: float | None = None
    over: Span | None = None
    """What it goes through; None before it has looked."""
    passed: int = 0
    """It is through with the numbers up to this one."""
    put_back: int = 0
    bodiless: int = 0
    """They have no body any more, and stay as they are."""
    elsewhere: int = 0
    """Somebody else put them back, or they went, between the look and the step."""
    trouble: str | None = None
    """Why it does not go on at the moment."""
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def share(self) -> float:
        """Of the numbers that it is through with: 0 to 1."""
        if self.over is None:
            return 0.0
        return min(1.0, max(0, self.passed - self.over.first + 1) / max(1, self.over.last - self.over.first + 1))

    def move(self, state: RunState) -> None:
        """Raises ValueError for a move that `MOVES` does not have."""
        if state not in MOVES[self.state]:
            raise ValueError(f"a put-back that is {self.state} does not become {state}")
        self.state = state


class Runs:
    """Those of this process; one at a time. On one loop."""

    def __init__(
        self, handle: Handle, background: Background, observer: Observer, clock: Callable[[], float] = time.time
    ) -> None:
        self._handle = handle
        self._background = background
        self._observer = observer
        self._clock = clock
        self._runs: dict[str, Run] = {}

    @property
    def all(self) -> list[Run]:
        """The newest first."""
        return [*self._runs.values()][::-1]

    @property
    def current(self) -> Run | None:
        """The one that is under way."""
        return next((run for run in self.all if run.state is RunState.RUNNING), None)

    def get(self, id: str) -> Run | None:  # noqa: A002  # what it is
        return self._runs.get(id)

    def start(
        self,
        id: str,  # noqa: A002  # likewise
        chosen: Chosen | None,
        where: Filter,
        expected: Counted,
        *,
        client: str | None = None,
    ) -> Run:
        """Begin one; where one of this id has begun, that one (a form sent twice). `client` is for the log.

        Raises ValueError while another is under way, and for a filter that names no finished states.
        """
        if id in self._runs:
            return self._runs[id]
        if self.current is not None:
            raise ValueError("another put-back is under way")
        if not where.states or not where.states <= FINISHED:
            raise ValueError("name the states to put back, which are finished ones")
        run = Run(id, chosen, where, expected, self._clock())
        self._background.start(self._run(run))
        self._runs[id] = run
        for old in [*self._runs][:-KEPT]:
            del self._runs[old]
        self._observer.event("put_back_started", client=client, run=id, expected=expected.number)
        return run

    def stop(self, id: str) -> None:  # noqa: A002  # likewise
        """After the step that is under way. Nothing where it has ended, or is not known."""
        if run := self._runs.get(id):
            run.stopping.set()

    async def _run(self, run: Run) -> None:
        ended = RunState.STOPPED  # also where these pages close
        try:
            while not run.stopping.is_set():
                if await self._tried(run):
                    ended = RunState.DONE
                    break
        except Exception as error:
            ended = RunState.FAILED
            self._observer.event("page_failed", error=error)
        finally:
            run.move(ended)
            run.ended_at = self._clock()
            run.trouble = None
            self._observer.event(
                "put_back_ended",
                run=run.id,
                state=run.state.value,
                put_back=run.put_back,
                no_body=run.bodiless,
                elsewhere=run.elsewhere,
            )

    async def _tried(self, run: Run) -> bool:
        """Go through with it, as far as the inbox lets us; True when it is through."""
        try:
            inbox = await self._handle.inbox()
            if run.over is None:
                run.over = await span(inbox)
                run.passed = run.over.first - 1
            await _go_on(inbox, run, run.over)
        except InboxUnavailable as error:
            run.trouble = str(error)
            await _waited(run.stopping, AGAIN)
            return False
        return run.passed >= run.over.last


async def _go_on(inbox: Inbox, run: Run, over: Span) -> None:
    stride = Stride(STEP)
    while run.passed < over.last and not run.stopping.is_set():
        began = time.monotonic()
        upto = min(run.passed + stride.width, over.last)
        part = replace(run.where, above=run.passed, below=upto + 1)
        found = await inbox.count(part)
        run.trouble = None
        most = STEP if time.monotonic() - began < SLOW else LARGE
        if found > most and stride.width > 1:
            stride.width //= 2
            continue
        if found:
            await _step(inbox, run, part, found)
        elif stride.width < WIDE:
            stride.width *= 2
        run.passed = upto


async def _step(inbox: Inbox, run: Run, part: Filter, found: int) -> None:
    """Put back what `part` means."""
    try:
        back = await inbox.put_back(part)
    except PayloadPurged:
        back = 0
    run.put_back += back
    left = max(0, found - back)
    if left:
        bodiless = min(left, await inbox.count(part))
        run.bodiless += bodiless
        run.elsewhere += left - bodiless


async def _waited(stopping: asyncio.Event, seconds: float) -> None:
    """Until it is to stop, and no longer than that."""
    try:
        async with asyncio.timeout(seconds):
            await stopping.wait()
    except TimeoutError:
        return
