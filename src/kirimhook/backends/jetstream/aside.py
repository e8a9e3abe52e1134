"""Details of events that ended, but not as done: one message of an event, in a stream of their own.

The journal says first how an event ended; then it is written here, and then the journal confirms that it was. A
message says as of which record of the journal it holds, and never takes the place of a later one: whoever was
stopped in between and goes on much later spoils nothing. An event that was put back keeps a message that says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterable, Mapping

from kirimhook.backends.jetstream.link import Link, WrongLast
from kirimhook.backends.jetstream.names import Names
from kirimhook.backends.jetstream.partition.entry import Aside
from kirimhook.backends.jetstream.partition.record import Ended
from kirimhook.receiver.model import EventState

AT_ONCE = 256
"""Subjects of one look, and writes on their way."""


def encode(note: Aside) -> bytes:
    said: dict[str, object] = {"as_of": note.as_of, "state": None}
    if note.ended is not None:
        _, state, at, attempts, reason = note.ended
        said |= {"state": state, "at": at, "attempts": attempts, "reason": reason}
    return json.dumps(said, separators=(",", ":")).encode()


def decode(number: int, payload: bytes) -> Aside:
    """Raises ValueError for what `encode` did not make."""
    try:
        said = json.loads(payload)
        if said["state"] is None:
            return Aside(said["as_of"], None)
        ended = Ended(number, EventState(said["state"]), said["at"], said["attempts"], said["reason"])
        return Aside(said["as_of"], ended)
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"not what was written aside: {error}") from error


def is_parked(payload: bytes) -> bool:
    """Whether the event of this message is parked."""
    ended = decode(0, payload).ended
    return ended is not None and ended.state is EventState.PARKED


class AsideStream:
    """Of one handle."""

    def __init__(self, link: Link, names: Names) -> None:
        self._link = link
        self._names = names

    async def write(self, partition: int, due: Mapping[int, Aside]) -> None:
        """Each, unless what is there is as late. Raises `InboxUnavailable`; then some may be written."""
        items = list(due.items())
        for start in range(0, len(items), AT_ONCE):
            some = items[start : start + AT_ONCE]
            await asyncio.gather(*(self._write(partition, number, one) for number, one in some))

    async def _write(self, partition: int, number: int, note: Aside) -> None:
        subject = self._names.aside_of(partition, number)
        payload, expected = encode(note), 0
        while True:
            try:
                await self._link.publish(subject, payload, expected=expected)
                return
            except WrongLast:
                there = await self._link.last(self._names.aside, subject)
            expected = there.sequence if there is not None else 0
            if there is not None and decode(number, there.payload).as_of >= note.as_of:
                return

    async def of(self, partition: int, numbers: Iterable[int]) -> dict[int, Aside]:
        """What is there about these events. The server asked may lag behind."""
        subjects = [self._names.aside_of(partition, number) for number in numbers]
        found: dict[int, Aside] = {}
        for start in range(0, len(subjects), AT_ONCE):
            for message in await self._link.last_of(self._names.aside, subjects[start : start + AT_ONCE]):
                number = number_in(message.subject)
                found[number] = decode(number, message.payload)
        return found

    async def wipe(self, partition: int, number: int, as_of: int) -> None:
        """Overwrite what is there, and leave a message that says nothing: whoever was stopped before he wrote what he
        knew spoils nothing. Raises `InboxUnavailable`."""
        subject, nothing = self._names.aside_of(partition, number), encode(Aside(as_of, None))
        while True:
            there = await self._link.last(self._names.aside, subject)
            expected = there.sequence if there is not None else 0
            if there is not None and (note := decode(number, there.payload)).ended is not None:
                await self._link.delete(self._names.aside, there.sequence, overwrite=True)
                expected = 0
            elif there is not None and note.as_of >= as_of:
                return
            with contextlib.suppress(WrongLast):
                await self._link.publish(subject, nothing, expected=expected)
                return

    async def remove(self, partition: int, numbers: Iterable[int]) -> None:
        """Those of events that are no more. Raises `InboxUnavailable`."""
        subjects = [self._names.aside_of(partition, number) for number in numbers]
        for start in range(0, len(subjects), AT_ONCE):
            found = await self._link.last_of(self._names.aside, subjects[start : start + AT_ONCE])
            await asyncio.gather(*(self._link.delete(self._names.aside, one.sequence) for one in found))


def number_in(subject: str) -> int:
    """The event that a subject of the stream names."""
    return int(subject.rpartition(".")[2])
