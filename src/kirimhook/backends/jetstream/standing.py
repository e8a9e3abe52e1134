"""How an event of the stream stands: by the journal of its partition, and by what is aside about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from kirimhook.backends.jetstream.aside import AsideStream
from kirimhook.backends.jetstream.codec import Stored, decode
from kirimhook.backends.jetstream.desk import Desk
from kirimhook.backends.jetstream.desks import Desks
from kirimhook.backends.jetstream.link import Message
from kirimhook.backends.jetstream.names import Names, lane_of
from kirimhook.backends.jetstream.partition.entry import Aside
from kirimhook.backends.jetstream.place import Place
from kirimhook.backends.jetstream.versions import understood
from kirimhook.receiver.model import FINISHED, EventState, StoredEvent


class Found(NamedTuple):
    """An event as it stands."""

    desk: Desk
    since: int
    """The last record of its partition that was known when it was looked up."""
    stored: StoredEvent
    sequence: int
    """Of its message: another one than the number of the event, where that is erased."""


class Standing:
    """Of one handle. Knows what its desks know: let them look first."""

    def __init__(self, place: Place, desks: Desks) -> None:
        self._now = place.now
        self._desks = desks
        self._aside = AsideStream(place.link, place.names)

    async def of(self, messages: Sequence[Message]) -> list[Found]:
        """Of messages of the events' stream, in their order. What is to be deleted is left out, and so is what stands
        for no event: a tombstone that the journal does not name."""
        by_desk: dict[Desk, list[Message]] = {}
        for message in messages:
            by_desk.setdefault(self._desks.all[Names.partition_in(message.subject)], []).append(message)
        found: dict[int, Found] = {}
        for desk, mine in by_desk.items():
            for one in await self._at(desk, mine):
                found[one.sequence] = one
        return [found[message.sequence] for message in messages if message.sequence in found]

    async def _at(self, desk: Desk, messages: list[Message]) -> list[Found]:
        state = desk.state
        since, now = state.sequence, self._now()
        firsts: dict[int, int] = {}
        for fresh in reversed(desk.ahead.fresh):
            if fresh.lane is not None:
                firsts[fresh.lane] = fresh.number
        found: dict[int, StoredEvent] = {}
        finished: list[tuple[int, Stored]] = []
        for message in messages:
            number, stored = message.sequence, understood(decode, message.payload)
            if stored.tombstone is not None:
                if number in state.tombstones:
                    finished.append((number, stored))
            elif entry := state.entries.get(number):
                running = entry.is_running(now)
                found[number] = StoredEvent(
                    number=number,
                    event=stored.event,
                    state=EventState.RUNNING if running else EventState.WAITING,
                    attempts=entry.attempts,
                    due_at=entry.due,
                    finished_at=None,
                    reason=entry.reason,
                    has_payload=True,
                )
            elif number > state.noted:
                lane = lane_of(stored.event.ordering_key)
                behind = lane is not None and (state.is_busy(lane) or firsts.get(lane, number) < number)
                found[number] = _fresh(number, stored, behind=behind)
            elif number not in state.removal_due and number not in state.erased:
                finished.append((number, stored))
        notes = await self._notes(desk, [number for number, _ in finished])
        found.update((number, _finished(number, stored, notes.get(number))) for number, stored in finished)
        return [Found(desk, since, one, sequence) for sequence, one in found.items()]

    async def _notes(self, desk: Desk, numbers: list[int]) -> dict[int, Aside]:
        """What was written aside, and what is still to be."""
        due = {number: desk.state.aside_due[number] for number in numbers if number in desk.state.aside_due}
        return await self._aside.of(desk.partition, [number for number in numbers if number not in due]) | due


def _fresh(number: int, stored: Stored, *, behind: bool) -> StoredEvent:
    """Not noted in the journal yet."""
    adopted = stored.adopted
    over = adopted is not None and adopted.state in FINISHED
    due = stored.at
    if adopted is not None and adopted.state is EventState.WAITING and adopted.due is not None:
        due = adopted.due
    return StoredEvent(
        number=number,
        event=stored.event,
        state=adopted.state if adopted is not None and over else EventState.WAITING,
        attempts=adopted.attempts if adopted is not None else 0,
        due_at=None if over or behind else due,
        finished_at=adopted.finished_at if adopted is not None and over else None,
        reason=adopted.reason if adopted is not None else None,
        has_payload=adopted is None or adopted.has_payload,
    )


def _finished(sequence: int, stored: Stored, note: Aside | None) -> StoredEvent:
    """Of a done event nothing else is kept."""
    ended = note.ended if note is not None else None
    return StoredEvent(
        number=sequence if stored.tombstone is None else stored.tombstone.number,
        event=stored.event,
        state=ended.state if ended is not None else EventState.DONE,
        attempts=ended.attempts if ended is not None else 0,
        due_at=None,
        finished_at=ended.at if ended is not None else None,
        reason=ended.reason if ended is not None else None,
        has_payload=stored.adopted is None or stored.adopted.has_payload,
    )
