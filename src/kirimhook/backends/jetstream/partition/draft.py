"""A record in the making: facts are gathered, and an overlay shows what they come to."""

from __future__ import annotations

import json
from collections.abc import Iterable

from kirimhook.backends.jetstream.partition.entry import Entry
from kirimhook.backends.jetstream.partition.overlay import Overlay
from kirimhook.backends.jetstream.partition.record import Back, Ended, Leased, Moved, Noted, Record
from kirimhook.backends.jetstream.partition.state import State
from kirimhook.receiver.model import EventState

ROW = 64
"""Bytes of a row in JSON, about."""
LONGEST_REASON = 32_000
"""Characters that are kept of a reason."""


class Draft:
    """What one record will say. Facts of one event have to come in their order."""

    def __init__(self, state: State, now: int) -> None:
        self.view = Overlay(state, now)
        self.upto = state.noted
        self.paused: bool | None = None
        self.weight = 0
        """Bytes of the record, about."""
        self._state = state
        self._noted: list[Noted] = []
        self._back: dict[int, Back] = {}
        self._done: list[int] = []
        self._ended: list[Ended] = []
        self._leased: list[Leased] = []
        self._moved: dict[int, None] = {}
        self._reasons: dict[int, str] = {}
        self._erased: dict[int, int] = {}
        self._removed: dict[int, EventState] = {}
        self._confirmed: list[tuple[int, int]] = []
        self._gone: list[int] = []

    def note(self, number: int, lane: int | None, due: int) -> Entry:
        """A fresh event; behind, if its lane is busy."""
        entry = self._new(number, lane, due)
        self._noted.append(Noted(number, lane, entry.due))
        return entry

    def back(self, number: int, lane: int | None, due: int, state: EventState) -> None:
        """A finished event; behind, if its lane is busy."""
        entry = self._new(number, lane, due)
        self._back[number] = Back(number, lane, entry.due, state)

    def _new(self, number: int, lane: int | None, due: int) -> Entry:
        self.weight += ROW
        busy = lane is not None and self.view.head(lane) is not None
        entry = Entry(number, lane, None if busy else due, None, 0, 0, None)
        self.view.add(entry)
        return entry

    def done(self, number: int) -> None:
        self.weight += ROW // 4
        self._done.append(number)

    def end(self, ended: Ended) -> None:
        self.weight += ROW + weight_of(ended.reason)
        self._ended.append(ended)

    def lease(self, token: int, until: int, held: list[Entry]) -> None:
        """Heads as they are now."""
        self.weight += ROW + ROW // 4 * len(held)
        self._leased.append(Leased(token, until, tuple((one.number, one.attempts, one.crashes) for one in held)))
        for entry in held:
            self.view.set(entry)
            self._moved.pop(entry.number, None)

    def move(self, entry: Entry) -> None:
        """As it is now; its reason as before."""
        self.weight += ROW
        self.view.set(entry)
        self._moved[entry.number] = None

    def explain(self, number: int, reason: str) -> None:
        """The entry bears it already."""
        self.weight += weight_of(reason)
        self._reasons[number] = reason

    def remove(self, number: int, state: EventState) -> None:
        self.weight += ROW
        self._removed[number] = state

    def erase(self, number: int, message: int, state: EventState) -> None:
        """A finished event. That the message has ended as the event had is to be said too."""
        self.weight += ROW
        self._erased[number] = message
        self.remove(number, state)

    def stands_for(self, message: int) -> bool:
        """Whether it is in the place of an erased event."""
        return message in self._state.tombstones or message in self._erased.values()

    def is_removed(self, number: int) -> bool:
        return number in self._state.removal_due or number in self._removed

    def confirm(self, number: int, as_of: int) -> None:
        self._confirmed.append((number, as_of))

    def gone(self, number: int) -> None:
        self._gone.append(number)

    def is_finished(self, number: int, since: int) -> bool:
        """As it was found by who saw all up to the record `since`. What this draft ended counts as changed."""
        state = self._state
        return (
            (number <= state.noted or number in state.tombstones)
            and number not in state.entries
            and number not in state.erased
            and not self.is_removed(number)
            and number not in self._back
            and not state.was_changed(number, since)
        )

    def record(self, record_id: str) -> Record | None:
        """None: it says nothing."""
        entry = self.view.entry
        moved = (entry(number) for number in self._moved)
        record = Record(
            id=record_id,
            upto=self.upto,
            noted=tuple(self._noted),
            back=tuple(self._back.values()),
            done=tuple(self._done),
            ended=tuple(self._ended),
            leased=tuple(self._still_leased()),
            moved=tuple(Moved(one[0], *one[2:6]) for one in moved if one is not None),
            reasons=tuple((number, reason) for number, reason in self._reasons.items() if entry(number) is not None),
            erased=tuple(self._erased.items()),
            removed=tuple(self._removed.items()),
            confirmed=tuple(self._confirmed),
            gone=tuple(self._gone),
            paused=self.paused,
        )
        return None if record == Record(record_id, self._state.noted) else record

    def _still_leased(self) -> Iterable[Leased]:
        """Without heads that this very record ends."""
        if not self._done and not self._ended:
            return self._leased
        entry = self.view.entry
        held = (
            one._replace(heads=tuple(head for head in one.heads if entry(head[0]) is not None)) for one in self._leased
        )
        return (one for one in held if one.heads)


def weight_of(reason: str | None) -> int:
    """Its bytes in JSON, where a character may take six."""
    return len(json.dumps(reason, ensure_ascii=False).encode()) if reason else 0


def kept(reason: str | None) -> str | None:
    """Encodable: a lone surrogate, which any JSON string can hold, has no UTF-8. A long one loses its middle."""
    if reason is None:
        return None
    if len(reason) > LONGEST_REASON:
        half = LONGEST_REASON // 2
        reason = f"{reason[:half]}\n[...]\n{reason[-half:]}"
    return reason.encode("utf-8", "backslashreplace").decode()
