"""How one run is gone through: event after event, strictly in order, each reported as it ends."""

from __future__ import annotations

import contextvars
from collections.abc import Awaitable, Callable
from time import monotonic

from kirimhook.receiver.hooks import Handler, Hooks, Kind
from kirimhook.receiver.model import LeasedEvent, Released, Settlement
from kirimhook.receiver.work.attempt import Attempts, Stopped
from kirimhook.receiver.work.run import Finished, Note, Run, is_last
from kirimhook.receiver.work.slots import Slot
from kirimhook.receiver.work.verdict import DONE, GOES_ON, Verdict, Verdicts, named


class Course:
    """On the handlers' loop. Reports `Finished` for every event it began; the last report of a run `is_last`."""

    def __init__(
        self,
        hooks: Hooks,
        verdicts: Verdicts,
        attempts: Attempts,
        report: Callable[[Finished], None],
        settled: Callable[[], Awaitable[None]],
    ) -> None:
        """`settled` returns when everything reported so far is settled."""
        self._match = hooks.match
        self._verdicts = verdicts
        self._attempts = attempts
        self._report = report
        self._settled = settled
        self.context = contextvars.copy_context()
        """What every event begins with."""
        self.draining = False
        self.shows_done = False
        """Whether the log wants to hear of every success."""

    async def take(self, run: Run, slot: Slot) -> bool:
        """Go on with the run. True when the worker is through with it; else it needs another task."""
        while True:
            finished = await self._next(run, slot)
            run.position += 1
            self._report(finished)
            if is_last(finished):
                return True
            if not self.is_clean():
                return False

    def is_clean(self) -> bool:
        """False when a handler has set context variables, which are not for the next event."""
        return contextvars.copy_context() == self.context

    async def _next(self, run: Run, slot: Slot) -> Finished:
        if run.lost or monotonic() >= run.deadline:
            run.lost = True
            return Finished(run, None)
        if self.draining:
            return released(run)
        leased = run.events[run.position]
        called = self._verdicts.before(leased, self._match(leased.event.type))
        if isinstance(called, Verdict):
            return self._finished(run, leased, None, called)
        try:
            if called.kind is Kind.TRANSACTION:
                return await self._transact(run, leased, called)
            return self._finished(run, leased, called, await self._attempts.make(slot, leased, called))
        except Stopped as stopped:
            return released(run) if stopped.known else Finished(run, None)

    async def _transact(self, run: Run, leased: LeasedEvent, handler: Handler) -> Finished:
        """The transaction settles this event, so those before it have to be settled first."""
        if run.position > 0:
            await self._settled()
            if run.lost:
                return Finished(run, None)
        ended = await self._attempts.transact(run, leased, handler, self._after(run))
        return ended if isinstance(ended, Finished) else self._finished(run, leased, handler, ended)

    def _finished(self, run: Run, leased: LeasedEvent, handler: Handler | None, verdict: Verdict) -> Finished:
        outcome, note = verdict
        then = self._after(run) if isinstance(outcome, GOES_ON) else None
        if self.shows_done and outcome is DONE:
            note = Note("handled", named(leased, handler))
        return Finished(run, Settlement(run.token, leased.number, outcome, then), note)

    def _after(self, run: Run) -> int | None:
        """The next event of the run, if this worker goes on with it."""
        following = run.position + 1
        return run.events[following].number if following < len(run.events) and not self.draining else None


def released(run: Run) -> Finished:
    """Its next event was not begun, or was cancelled by the worker's end: due at once, for another worker."""
    return Finished(run, Settlement(run.token, run.events[run.position].number, Released()))
