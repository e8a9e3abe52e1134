"""Puts: each event is published with the condition that its dedupe key is new, many at a time.

Only one answer says that an event is known: 10071. Whatever else goes wrong is tried again until the put's time is
up. Once a try had no answer, a later 10071 may be about that very try; then the stored message tells, by its claim.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import Callable, Sequence
from typing import Protocol

from kirimhook.backends.arrivals import Arrivals, Put, answer
from kirimhook.backends.jetstream.codec import Adopted, decode, encode
from kirimhook.backends.jetstream.link import Link, OutcomeUnknown, Refused, WrongLast, outcome_of
from kirimhook.backends.jetstream.names import Names, hash26, lane_of, partition_of
from kirimhook.backends.jetstream.settings import JetStreamSettings
from kirimhook.receiver.inbox import InboxUnavailable
from kirimhook.receiver.model import FINISHED, EventState, InboundEvent, Receipt, StoredEvent

MOST = 1024
"""Events on their way to the servers at once."""
MOST_BYTES = 32 * 1024 * 1024
PART_OF_BOUND = 0.9
"""Of a put's time; the rest is for the answer to reach it."""
AGAIN = (0.05, 0.1, 0.2, 0.4)
"""Seconds before another try; the last one repeats."""
SHORTEST = 0.2
"""Seconds that a try must have left."""
HINT_EVERY = 0.005
"""Seconds between two hints, at least."""

Outcome = Receipt | InboxUnavailable


class Job(Protocol):
    """Whose events they are."""

    def told(self, index: int, outcome: Outcome) -> None: ...


class Claim:
    """One event on its way."""

    __slots__ = ("deadline", "event", "hashed", "id", "index", "job", "payload", "subject", "tries", "unsure")

    def __init__(self, job: Job, index: int, event: InboundEvent, claim_id: str, deadline: float) -> None:
        self.job, self.index, self.event = job, index, event
        self.id = claim_id
        self.hashed = hash26(event.dedupe_key)
        self.deadline = deadline
        self.subject = ""
        self.payload = b""
        self.tries = 0
        self.unsure = False
        """A try had no answer: it may be stored."""


class Intake:
    """Of one handle; lives on its home loop."""

    def __init__(
        self,
        link: Link,
        settings: JetStreamSettings,
        arrivals: Arrivals,
        clock: Callable[[], float],
        is_parked: Callable[[bytes], bool],
    ) -> None:
        """`clock`: seconds since the epoch. `is_parked`: whether a message set aside says that its event is."""
        self._link = link
        self._names = Names(settings.name)
        self._bound = settings.commit_bound * PART_OF_BOUND
        self._arrivals = arrivals
        self._clock = clock
        self._is_parked = is_parked
        self._partitions = 0
        self._handle = secrets.token_hex(6)
        self._claims = itertools.count()
        self._answers: list[tuple[Put, list[Receipt] | BaseException]] = []
        self._flushing = False
        self._fresh = False
        self._last_hint = 0.0
        self._events = self._bytes = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._looks: set[asyncio.Task[None]] = set()

    def begin(self, partitions: int) -> None:
        """From now on puts are stored; before, they are refused."""
        self._partitions = partitions
        self.stir()

    async def end(self) -> None:
        """Return when all that was taken, and all that still waits, is answered."""
        self.stir()
        await self._idle.wait()

    def stir(self) -> None:
        """Take what waits. On the home loop."""
        while self._events < MOST and self._bytes < MOST_BYTES:
            puts = self._arrivals.take(MOST - self._events)
            if not puts:
                return
            for put in puts:
                self._take(put)

    async def adopt(self, events: Sequence[StoredEvent]) -> int:
        """Store events of another inbox, in order; how many were not known here. Raises `InboxUnavailable`."""
        if not self._partitions:
            raise InboxUnavailable("storage_unavailable", "the streams have not been found yet")
        fresh = 0
        for part in _without_neighbours(events):
            job = _Adoption(len(part))
            now = self._now()
            for index, stored in enumerate(part):
                self._send_new(job, index, stored.event, now, _as_adopted(stored))
            fresh += await job.fresh
        return fresh

    def _take(self, put: Put) -> None:
        self._idle.clear()
        if not self._partitions:
            self._answers.append((put, InboxUnavailable("storage_unavailable", "the streams have not been found yet")))
        elif not put.events:
            self._answers.append((put, []))
        else:
            job = _PutJob(self, put)
            now = self._now()
            for index, event in enumerate(put.events):
                self._send_new(job, index, event, now, None)
            return
        self._flush_soon()

    def _send_new(self, job: Job, index: int, event: InboundEvent, now: int, adopted: Adopted | None) -> None:
        deadline = asyncio.get_running_loop().time() + self._bound
        claim = Claim(job, index, event, f"{self._handle}{next(self._claims):x}", deadline)
        claim.subject = f"{self._names.name}.ev.{partition_of(event, self._partitions)}.{claim.hashed}"
        claim.payload = encode(event, now, claim.id, adopted)
        self._events += 1
        self._bytes += len(claim.payload)
        self._idle.clear()
        self._send(claim)

    def _send(self, claim: Claim) -> None:
        def acked(data: bytes | None) -> None:
            self._acked(claim, data)

        try:
            over = self._names.known(claim.hashed)
            self._link.post(claim.subject, claim.payload, acked, expected=0, over=over, deadline=claim.deadline)
        except InboxUnavailable as error:
            self._failed(claim, error)

    def _acked(self, claim: Claim, data: bytes | None) -> None:
        outcome = outcome_of(data)
        if isinstance(outcome, int):
            self._told(claim, Receipt.FRESH)
        elif isinstance(outcome, WrongLast):
            look = asyncio.get_running_loop().create_task(self._look(claim, outcome.last))
            self._looks.add(look)
            look.add_done_callback(self._looks.discard)
        else:
            self._failed(claim, outcome)

    def _failed(self, claim: Claim, error: InboxUnavailable) -> None:
        """Try again, where that may help and there is time."""
        claim.unsure |= isinstance(error, OutcomeUnknown)
        loop = asyncio.get_running_loop()
        pause = AGAIN[min(claim.tries, len(AGAIN) - 1)]
        lasting = isinstance(error, Refused) and not error.temporary
        if lasting or loop.time() + pause + SHORTEST >= claim.deadline:
            self._told(claim, error)
            return
        claim.tries += 1
        loop.call_later(pause, self._send, claim)

    async def _look(self, claim: Claim, number: int | None) -> None:
        """It is known: since when, and is it parked?"""
        try:
            if claim.unsure or number is None:
                stored = await self._link.last(self._names.events, self._names.known(claim.hashed))
                if stored is None:  # removed between two looks: it is not known any more
                    self._failed(claim, InboxUnavailable("storage_unavailable", "the event was being removed"))
                    return
                number = stored.sequence
                if decode(stored.payload).claim == claim.id:
                    self._told(claim, Receipt.FRESH)
                    return
        except (InboxUnavailable, ValueError) as error:
            self._failed(claim, error if isinstance(error, InboxUnavailable) else _unreadable(error))
            return
        self._told(claim, Receipt.DUPLICATE_PARKED if await self._parked(number) else Receipt.DUPLICATE)

    async def _parked(self, number: int) -> bool:
        """False where it cannot be found out: a duplicate it is all the same."""
        try:
            found = await self._link.last(self._names.aside, f"{self._names.name}.as.*.{number}")
            return found is not None and self._is_parked(found.payload)
        except (InboxUnavailable, ValueError):
            return False

    def _told(self, claim: Claim, outcome: Outcome) -> None:
        self._events -= 1
        self._bytes -= len(claim.payload)
        if outcome is Receipt.FRESH:
            self._fresh = True
        claim.job.told(claim.index, outcome)
        if not self._events or self._fresh:
            self._flush_soon()

    def answered(self, put: Put, result: list[Receipt] | BaseException) -> None:
        """All events of `put` have an outcome."""
        self._answers.append((put, result))
        self._flush_soon()

    def _flush_soon(self) -> None:
        """With all the answers of this turn of the loop."""
        if not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        answers, self._answers = self._answers, []
        answer(answers)
        if self._fresh:
            self._fresh = False
            self._hint()
        self.stir()
        if not self._events and not self._answers:
            self._idle.set()

    def _hint(self) -> None:
        loop = asyncio.get_running_loop()
        due = self._last_hint + HINT_EVERY
        if due <= loop.time():
            self._last_hint = loop.time()
            self._link.hint()
        elif due - HINT_EVERY <= loop.time():  # none is on its way
            self._last_hint = due
            loop.call_at(due, self._link.hint)

    def _now(self) -> int:
        return int(self._clock() * 1000)


class _PutJob:
    """One call of `put`."""

    def __init__(self, intake: Intake, put: Put) -> None:
        self._intake = intake
        self._put = put
        self._left = len(put.events)
        self._receipts = [Receipt.FRESH] * self._left
        self._error: InboxUnavailable | None = None

    def told(self, index: int, outcome: Outcome) -> None:
        if isinstance(outcome, InboxUnavailable):
            self._error = outcome
        else:
            self._receipts[index] = outcome
        self._left -= 1
        if not self._left:
            self._intake.answered(self._put, self._error or self._receipts)


class _Adoption:
    """Some events of one call of `adopt`."""

    def __init__(self, left: int) -> None:
        self.fresh: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._left = left
        self._count = 0
        self._error: InboxUnavailable | None = None

    def told(self, index: int, outcome: Outcome) -> None:  # noqa: ARG002  # as its twin has it
        if isinstance(outcome, InboxUnavailable):
            self._error = outcome
        self._count += outcome is Receipt.FRESH
        self._left -= 1
        if self._left or self.fresh.done():
            return
        if self._error is not None:
            self.fresh.set_exception(self._error)
        else:
            self.fresh.set_result(self._count)


def _without_neighbours(events: Sequence[StoredEvent]) -> list[list[StoredEvent]]:
    """Parts in which no two unfinished events share a lane: within a part, a try that is repeated comes late."""
    parts: list[list[StoredEvent]] = []
    lanes: set[int] = set()
    for stored in events:
        lane = None if stored.state in FINISHED else lane_of(stored.event.ordering_key)
        if not parts or lane in lanes or len(parts[-1]) >= MOST:
            parts.append([])
            lanes.clear()
        parts[-1].append(stored)
        if lane is not None:
            lanes.add(lane)
    return parts


def _as_adopted(stored: StoredEvent) -> Adopted:
    state = stored.state if stored.state in FINISHED else EventState.WAITING
    due = stored.due_at if stored.state is EventState.WAITING else None
    return Adopted(state, stored.attempts, due, stored.reason, stored.finished_at, stored.has_payload)


def _unreadable(error: ValueError) -> InboxUnavailable:
    return InboxUnavailable("unreadable", str(error))
