"""The inbox as the source of a worker's runs: what to lease, what to settle, and what it says about both."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence

from kirimhook.observe import MOST_TYPES as MOST_COUNTED
from kirimhook.observe import OTHER_TYPES, Meter, Observer
from kirimhook.receiver.inbox import Inbox
from kirimhook.receiver.model import (
    Done,
    Parked,
    Released,
    RetryAt,
    Settlement,
    Skipped,
    SnoozeUntil,
    Unhandled,
)
from kirimhook.receiver.work.run import Finished, Flush, Note, Report, Run, is_last
from kirimhook.receiver.work.verdict import named
from kirimhook.settings import ReceiverSettings

LABELS = {
    Done: "done",
    RetryAt: "retry",
    SnoozeUntil: "snoozed",
    Parked: "parked",
    Unhandled: "unhandled",
    Skipped: "skipped",
    Released: "released",
}
"""Outcomes as the metrics name them."""

MOST_TYPES = 1000
"""Types without a handler that are remembered as reported."""


class InboxSource:
    """Lives on the control loop. A suspect is leased alone and nothing else until it is through."""

    def __init__(
        self,
        inbox: Inbox,
        settings: ReceiverSettings,
        observer: Observer,
        meter: Meter,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._inbox = inbox
        self._settings = settings
        self._observer = observer
        self._clock = clock
        self._handled = meter.counter("kirimhook_handled_total")
        self._ended = meter.counter("kirimhook_ended_types_total")
        self._types: set[str] = set()
        self._lost = meter.counter("kirimhook_leases_lost_total")
        self._gauges = meter.gauges
        self._suspect: Run | None = None
        self._unhandled: set[str] = set()
        self.abandoned = 0
        """Runs given up while their handler was still running."""

    def room(self, held: int, results: Sequence[Report]) -> int:
        """Twice what came to an end since the last turn: handlers stay busy, and events wait for two turns at
        most before another worker could have had them."""
        over = [result.run for result in results if type(result) is Finished and is_last(result)]
        if self._suspect in over:
            self._suspect = None
        if self._suspect is not None:
            return 0
        kept = held - len(over)
        self._gauges["kirimhook_leased_runs"] = kept
        return min(max(self._settings.concurrency, 2 * len(over)), self._settings.max_leased) - kept

    async def lease(self, room: int) -> Sequence[Run]:
        deadline = self._clock() + self._settings.lease
        runs = [Run(lease, deadline) for lease in await self._inbox.lease(room, self._settings.lease)]
        for run in runs:
            if run.suspect:
                self._suspect = run
                self._observer.event("suspect", **named(run.events[0], None))
        return runs

    async def renew(self, held: Collection[Run]) -> None:
        """Of what is lost, no other event begins."""
        deadline = self._clock() + self._settings.lease
        runs = [run for run in held if not run.lost]
        heads = [(run.token, run.head) for run in runs]
        renewed = await self._inbox.renew(heads, self._settings.lease) if heads else []
        for run, (_, head), kept in zip(runs, heads, renewed, strict=True):
            if kept:
                run.deadline = deadline
            elif not run.transacting and run.head == head:  # else its own settlement moved the lease on
                self._lose(run)

    async def settle(self, results: Sequence[Report]) -> Collection[Run]:
        """Settle, account for what held, and tell who waited for it."""
        finished = [result for result in results if type(result) is Finished]
        settlements = [each.settlement for each in finished if each.settlement is not None and not each.committed]
        held = iter(await self._inbox.settle(settlements) if settlements else ())
        for each in finished:
            each.run.transacting = False
            if each.settlement is None:
                self._give_up(each.run)
            elif each.committed or next(held):
                self._account(each.run, each.settlement, each.note)
            else:
                self._lose(each.run)
        for result in results:
            if type(result) is Flush:
                result.settled()
        return [each.run for each in finished if is_last(each)]

    async def wait(self, timeout: float) -> None:
        await self._inbox.wait(timeout)

    def _account(self, run: Run, settlement: Settlement, note: Note | None) -> None:
        outcome = LABELS[type(settlement.outcome)]
        self._handled[outcome] += 1
        self._ended[f"{self._type(run, settlement.number)} {outcome}"] += 1
        if settlement.then is not None:
            run.head = settlement.then
        if note is not None and (note.event != "no_handler" or self._is_new(note.fields["type"])):
            self._observer.event(note.event, **note.fields)

    def _type(self, run: Run, number: int) -> str:
        """The type of an event of the run, or `other` where too many types are known already."""
        kind = next(leased for leased in run.events if leased.number == number).event.type
        if kind not in self._types:
            if len(self._types) >= MOST_COUNTED:
                return OTHER_TYPES
            self._types.add(kind)
        return kind

    def _is_new(self, event_type: str) -> bool:
        """Whether the log has not heard of the type yet; what came from outside is not remembered without end."""
        if event_type in self._unhandled or len(self._unhandled) >= MOST_TYPES:
            return False
        self._unhandled.add(event_type)
        return True

    def _lose(self, run: Run) -> None:
        """Never counted as completed, whatever its handler did: another worker has it, or will."""
        run.lost = True
        self._lost[""] += 1
        if not run.told:
            run.told = True
            head = next(leased for leased in run.events if leased.number == run.head)
            behind = sum(leased.number > run.head for leased in run.events)
            self._observer.event("lease_lost", behind=behind, **named(head, None))

    def _give_up(self, run: Run) -> None:
        if not run.lost:
            self.abandoned += 1
        elif not run.told:
            self._lose(run)
