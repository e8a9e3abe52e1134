"""The verbs: what a wish comes to, over a state, and the record that makes it so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from kirimhook.backends.jetstream.codec import Adopted, Tombstone
from kirimhook.backends.jetstream.partition.draft import ROW, Draft, kept, weight_of
from kirimhook.backends.jetstream.partition.entry import Entry
from kirimhook.backends.jetstream.partition.record import Ended, Record
from kirimhook.backends.jetstream.partition.state import State
from kirimhook.receiver.model import (
    FINISHED,
    Done,
    EventState,
    Move,
    Parked,
    Released,
    RetryAt,
    Settlement,
    Skipped,
    SnoozeUntil,
    Unhandled,
    after,
)

LONGEST_RUN = 64
AHEAD = 1024
"""Events that a lease likes to have in the queue beyond what it needs, for the runs behind its heads."""
MOST_NOTED = 2048
"""Events that one record notes."""
MOST_CONFIRMED = 4096
"""Of each kind, in one record."""
MOST_UNFINISHED = 250_000
"""Entries of a partition: while it has so many, no more are noted."""
HEAVY = 256 * 1024
"""Bytes of a record, about, from which on the next wish goes into the next one. A message has at most 1 MiB."""
MOVES: dict[type, Move] = {
    Done: Move.COMPLETE,
    Parked: Move.PARK,
    Unhandled: Move.UNHANDLE,
    Skipped: Move.SKIP,
}
"""Outcomes that finish an event."""


class Fresh(NamedTuple):
    """An event that was read from the stream."""

    number: int
    lane: int | None
    at: int
    """When it was stored (ms)."""
    adopted: Adopted | None = None
    tombstone: Tombstone | None = None


class Taken(NamedTuple):
    """A run that was leased."""

    token: int
    run: tuple[tuple[int, int], ...]
    """Number and attempt of each event, in the order in which they are to be handled; 1 is the first attempt."""
    suspect: bool


class Batch:
    """Several wishes over one state, in order, each seeing what those before it came to.

    Nothing of it is true until its record is appended; then `State.apply` makes it so.
    """

    def __init__(self, state: State, fresh: Iterable[Fresh], now: int, record_id: str) -> None:
        """`fresh`: what follows `state.noted` in the stream, in order; what is noted already is passed over."""
        self._state = state
        self._now = now
        self._id = record_id
        self._draft = Draft(state, now)
        self._view = self._draft.view
        self._fresh = (one for one in fresh if one.number > state.noted)
        self._next_fresh = next(self._fresh, None)
        self._room = min(MOST_NOTED, MOST_UNFINISHED - len(state.entries))

    @property
    def is_heavy(self) -> bool:
        """The record is large: append it, and put the next wish into another."""
        return self._draft.weight >= HEAVY

    @property
    def _has_room(self) -> bool:
        """For one more fresh event. One that was adopted can bring a long reason."""
        return self._room > 0 and not self.is_heavy

    def record(self) -> Record | None:
        """None: nothing is changed."""
        return self._draft.record(self._id)

    def settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        """End events, in order. False: the lease was lost, and nothing was changed."""
        return [self._settle(settlement) for settlement in settlements]

    def _settle(self, settlement: Settlement) -> bool:
        entry = self._view.entry(settlement.number)
        if entry is None or entry.token != settlement.token:
            return False
        move = MOVES.get(type(settlement.outcome))
        if move is None:
            self._delay(entry, settlement)
        else:
            self._finish(entry, after(EventState.RUNNING, move), settlement)
        return True

    def _delay(self, entry: Entry, settlement: Settlement) -> None:
        number, lane, _, _, attempts, crashes, reason = entry
        match settlement.outcome:
            case RetryAt(at, why):
                reason = kept(why) or ""
                self._draft.move(Entry(number, lane, at, None, attempts + 1, 0, reason))
                self._draft.explain(number, reason)
            case SnoozeUntil(at):
                self._draft.move(Entry(number, lane, at, None, attempts, 0, reason))
            case Released():  # not begun, so what is known about it stays
                self._draft.move(Entry(number, lane, self._now, None, attempts, crashes, reason))

    def _finish(self, entry: Entry, state: EventState, settlement: Settlement) -> None:
        number, lane, until, token, attempts, _, _ = entry
        outcome = settlement.outcome
        if state is EventState.DONE:
            self._draft.done(number)
        elif isinstance(outcome, Parked):
            self._draft.end(Ended(number, state, self._now, attempts + 1, kept(outcome.reason)))
        else:
            self._draft.end(Ended(number, state, self._now, attempts, None))
        self._view.end(entry)
        if lane is not None:
            following = None if settlement.then is None else self._view.entry(settlement.then)
            if following is None or following.lane != lane:
                self._wake(lane)
            else:
                self._draft.move(Entry(following[0], lane, until, token, *following[4:]))

    def _wake(self, lane: int) -> None:
        for first in self._view.behind(lane, 1):
            self._draft.move(first._replace(due=self._now))

    def renew(self, heads: Sequence[tuple[int, int]], until: int) -> list[bool]:
        """Hold leases `(token, number)` until then. False: it was lost.

        A lease may still sit on an earlier event of the run, whose settlement is on its way.
        """
        return [self._renew(token, number, until) for token, number in heads]

    def _renew(self, token: int, number: int, until: int) -> bool:
        entry = self._view.entry(number)
        if entry is not None and entry.due is None and entry.lane is not None:
            entry = self._view.head(entry.lane)
        if entry is None or entry.token != token:
            return False
        self._draft.move(entry._replace(due=until))
        return True

    def lease(self, limit: int, until: int, token: int) -> list[Taken]:
        """Up to `limit` runs that are due, oldest first, held until `until` (ms). Empty while paused."""
        heads = [] if self._is_paused() else self._due_heads(limit)
        suspect = next((head for head in heads if head.is_suspect()), None)
        if suspect is not None:
            for head in heads:
                if head is not suspect:
                    self._view.set(head)
            heads = [suspect]
        if not heads:
            return []
        held = [_held(head, until, token) for head in heads]
        self._draft.lease(token, until, held)
        return [Taken(token, self._run(head, alone=suspect is not None), suspect is not None) for head in held]

    def _due_heads(self, limit: int) -> list[Entry]:
        """Noted ones and fresh ones, by when they became due. Fresh ones are noted as far as it takes, and beyond."""
        view, before = self._view, self._draft.upto
        heads: list[Entry] = []
        while len(heads) < limit:
            due, fresh = view.next_due(), self._next_fresh
            if fresh is not None and self._has_room and (due is None or fresh.at < due[0]):
                self._note(fresh)
            elif due is not None:
                heads.append(view.take(due))
            else:
                break
        self.note(AHEAD if self._draft.upto > before else AHEAD - len(self._state.entries))
        return heads

    def _run(self, head: Entry, *, alone: bool) -> tuple[tuple[int, int], ...]:
        first = (head.number, head.attempts + 1)
        if head.lane is None or alone:
            return (first,)
        behind = self._view.behind(head.lane, LONGEST_RUN - 1)
        return (first, *[(entry.number, entry.attempts + 1) for entry in behind])

    def note(self, most: int) -> None:
        """Take up to `most` fresh events into the queue; finished ones that were adopted end at once."""
        for _ in range(most):
            if self._next_fresh is None or not self._has_room:
                return
            self._note(self._next_fresh)

    def _note(self, fresh: Fresh) -> None:
        self._draft.upto = fresh.number
        self._room -= 1
        self._next_fresh = next(self._fresh, None)
        number, lane, at, adopted, tombstone = fresh
        if adopted is None:
            self._draft.note(number, lane, min(at, self._now))
        elif tombstone is not None:
            self._bury(fresh, adopted, tombstone)
        elif adopted.state in FINISHED:
            self._note_finished(number, at, adopted)
        else:
            self._note_unfinished(fresh, adopted)

    def _note_finished(self, number: int, at: int, adopted: Adopted) -> None:
        if adopted.state is EventState.DONE:
            self._draft.done(number)
            return
        ended = at if adopted.finished_at is None else adopted.finished_at
        self._draft.end(Ended(number, adopted.state, ended, adopted.attempts, kept(adopted.reason)))

    def _note_unfinished(self, fresh: Fresh, adopted: Adopted) -> None:
        due = adopted.due if adopted.state is EventState.WAITING else None
        entry = self._draft.note(fresh.number, fresh.lane, min(fresh.at, self._now) if due is None else due)
        reason = kept(adopted.reason)
        if adopted.attempts or reason is not None:
            self._draft.move(entry._replace(attempts=adopted.attempts, reason=reason))
        if reason is not None:
            self._draft.explain(fresh.number, reason)

    def put_back(self, wanted: Sequence[tuple[int, int | None, EventState]], since: int) -> list[bool]:
        """Finished events `(number, lane, the state it was found in)` are due again, with fresh attempts.

        `since` is `state.sequence` as it was before they were looked up. False: it changed meanwhile, is not noted
        yet, or is removed. Look again. What is fresh came before, so it is noted first.
        """
        self.note(MOST_NOTED)
        done = []
        for number, lane, state in wanted:
            done.append(self._draft.is_finished(number, since))
            if done[-1]:
                self._draft.back(number, lane, self._now, state)
        return done

    def erase(self, tombstones: Sequence[Fresh]) -> list[bool]:
        """Each takes the place of its event. False: that was put back, removed or erased meanwhile, or nobody knows
        whether it was; the tombstone is to be deleted."""
        return [self._bury(one, one.adopted, one.tombstone) for one in tombstones if one.adopted and one.tombstone]

    def _bury(self, fresh: Fresh, adopted: Adopted, tombstone: Tombstone) -> bool:
        """Also when it is noted before who published it comes to say so, or after that was killed."""
        if self._draft.stands_for(fresh.number):
            return True
        if self._draft.is_finished(*tombstone):
            self._note_finished(fresh.number, fresh.at, adopted)
            self._draft.erase(tombstone.number, fresh.number, adopted.state)
            return True
        if not self._draft.is_removed(fresh.number):
            self._draft.done(fresh.number)
            self._draft.remove(fresh.number, EventState.DONE)
        return False

    def remove(self, wanted: Sequence[tuple[int, EventState]], since: int) -> list[bool]:
        """Finished events `(number, the state it was found in)` are to be deleted. False as with `put_back`."""
        done = []
        for number, state in wanted:
            done.append(self._draft.is_finished(number, since))
            if done[-1]:
                self._draft.remove(number, state)
        return done

    def gone(self, numbers: Iterable[int]) -> None:
        """Of `state.removal_due`, these are deleted, stream and aside. Those beyond `MOST_CONFIRMED` are left."""
        due = self._state.removal_due
        for number in islice((number for number in numbers if number in due), MOST_CONFIRMED):
            self._draft.gone(number)

    def confirm(self, written: Iterable[tuple[int, int]]) -> None:
        """Of `state.aside_due`, these `(number, as_of)` are written. Those beyond `MOST_CONFIRMED` are left."""
        due = self._state.aside_due
        true = (one for one in written if one[0] in due and due[one[0]].as_of == one[1])
        for number, as_of in islice(true, MOST_CONFIRMED):
            self._draft.confirm(number, as_of)

    def pause(self, paused: bool) -> None:
        """Or resume."""
        if paused != self._is_paused():
            self._draft.paused = paused

    def _is_paused(self) -> bool:
        return self._state.paused if self._draft.paused is None else self._draft.paused


def _held(head: Entry, until: int, token: int) -> Entry:
    """One that still bears a token is due because its lease ran out: that was an attempt."""
    number, lane, _, before, attempts, crashes, reason = head
    ran_out = before is not None
    return Entry(number, lane, until, token, attempts + ran_out, crashes + ran_out, reason)


def portions(settlements: Sequence[Settlement]) -> Iterator[Sequence[Settlement]]:
    """In the same order, each small enough for a record that is not heavy yet."""
    portion: list[Settlement] = []
    weight = 0
    for settlement in settlements:
        portion.append(settlement)
        weight += 2 * ROW + weight_of(kept(getattr(settlement.outcome, "reason", None)))
        if weight >= HEAVY:
            yield portion
            portion, weight = [], 0
    if portion:
        yield portion
