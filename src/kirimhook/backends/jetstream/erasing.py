"""Erase: a tombstone takes the place of an event, then the event's own message is overwritten.

The tombstone is published first, on the subject of the event and only behind the event itself, so that the claim on
the dedupe key is never absent. Then a record of the journal says that it stands for the event, whose number it keeps;
until then the event stands as it did. A kill in between: who notes the tombstone says so too, if the event is known
not to have changed, or has the tombstone deleted. From the record on, whoever has the partition sees to the rest,
but for reasons in the journal: those are overwritten by the next call that names the event.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from kirimhook.backends.jetstream.codec import Adopted, Tombstone, decode, encode
from kirimhook.backends.jetstream.desk import Desk
from kirimhook.backends.jetstream.desks import Desks
from kirimhook.backends.jetstream.link import Message, WrongLast
from kirimhook.backends.jetstream.looking import Looking
from kirimhook.backends.jetstream.partition.decide import Fresh
from kirimhook.backends.jetstream.place import Place
from kirimhook.backends.jetstream.standing import Found
from kirimhook.backends.jetstream.versions import understood
from kirimhook.receiver.inbox import InboxUnavailable
from kirimhook.receiver.model import FINISHED, InboundEvent, StoredEvent

AT_ONCE = 64
"""Events of one record."""
TRIES = 5
"""For events that others change at the same time."""


class Eraser:
    """Of one handle."""

    def __init__(self, place: Place, desks: Desks, looking: Looking) -> None:
        self._place = place
        self._desks = desks
        self._looking = looking

    async def erase(self, numbers: Sequence[int]) -> int:
        """How many were erased by this call. Raises `InboxUnavailable`; calling again does what is left."""
        once = sorted(set(numbers))
        return sum([await self._erase(once[start : start + AT_ONCE]) for start in range(0, len(once), AT_ONCE)])

    async def _erase(self, numbers: list[int]) -> int:
        erased = 0
        for _ in range(TRIES):
            found = [one for one in await self._looking.named(numbers) if _is_to_be_erased(one.stored)]
            if not found:
                break
            erased += await self._bury(found)
        else:
            raise InboxUnavailable("storage_unavailable", "others change these events all the while")
        await asyncio.gather(*(self._wipe(desk, numbers) for desk in self._desks.all))
        return erased

    async def _wipe(self, desk: Desk, numbers: list[int]) -> None:
        if mine := {number for number in numbers if number in desk.state.erased}:
            await desk.wipe(mine)

    async def _bury(self, found: list[Found]) -> int:
        """How many of them changed neither before nor after their tombstone came."""
        by_desk: dict[Desk, list[Found]] = {}
        for one in found:
            by_desk.setdefault(one.desk, []).append(one)
        return sum(await asyncio.gather(*(self._at(desk, mine) for desk, mine in by_desk.items())))

    async def _at(self, desk: Desk, found: list[Found]) -> int:
        if any(one.sequence > desk.state.noted for one in found):  # adopted, and finished before
            await self._desks.note_adopted()
            return 0
        placed = await asyncio.gather(*(self._place_tombstone(one) for one in found))
        fresh = [one for one in placed if one is not None]
        return sum(await desk.do(lambda batch: batch.erase(fresh)))

    async def _place_tombstone(self, found: Found) -> Fresh | None:
        """Behind the event, or behind a tombstone that whoever was killed left there. None: the event is no more."""
        link, names = self._place.link, self._place.names
        message = await link.get(names.events, found.sequence)
        if message is None:
            return None
        adopted, tombstone = _as_adopted(found.stored), Tombstone(found.stored.number, found.since)
        at, last = self._place.now(), message.sequence
        claim = understood(decode, message.payload).claim  # who put it, and got no answer, can still tell
        payload = encode(_unnamed(found.stored.event), at, claim, adopted, tombstone)
        for _ in range(TRIES):
            try:
                sequence = await link.publish(message.subject, payload, expected=last)
                return Fresh(sequence, None, at, adopted, tombstone)
            except WrongLast:
                behind = await link.last(names.events, message.subject)
            if behind is None or not _is_tombstone_of(found.stored.number, behind):
                return None
            last = behind.sequence
        return None


def _is_to_be_erased(stored: StoredEvent) -> bool:
    event = stored.event
    says = event.event_id or event.delivery_id or event.ordering_key is not None or stored.reason is not None
    return stored.state in FINISHED and bool(says or stored.has_payload)


def _unnamed(event: InboundEvent) -> InboundEvent:
    return event._replace(event_id="", delivery_id="", ordering_key=None, body=b"")


def _as_adopted(stored: StoredEvent) -> Adopted:
    return Adopted(stored.state, stored.attempts, None, None, stored.finished_at, has_payload=False)


def _is_tombstone_of(number: int, message: Message) -> bool:
    """Or the event itself: a tombstone was there, and is deleted."""
    tombstone = understood(decode, message.payload).tombstone
    return message.sequence == number or (tombstone is not None and tombstone.number == number)
