"""The journal of one partition: records, each appended behind the last one that its writer knew, and snapshots.

Appending with the sequence of the last record known is the fence: who has not seen the latest one cannot append.
A message also says which record it follows, so that a reader sees what is missing because a snapshot has replaced
it. Snapshots come in parts, on a subject of their own, appended in the same way.
"""

from __future__ import annotations

import asyncio
import json
from typing import NamedTuple

from kirimhook.backends.jetstream.link import Message, WrongLast
from kirimhook.backends.jetstream.partition.record import Record
from kirimhook.backends.jetstream.partition.state import State
from kirimhook.backends.jetstream.place import Place
from kirimhook.backends.jetstream.versions import understood
from kirimhook.receiver.inbox import InboxUnavailable

MOST, MOST_BYTES = 256, 4 * 1024 * 1024
"""Of one read."""
PART = 256 * 1024
"""Bytes of a snapshot in one message."""
ENOUGH_RECORDS, ENOUGH_BYTES = 512, 2 * 1024 * 1024
"""Of records since the last snapshot that call for one. Where that one was large, more."""
BYTES_A_RECORD = 4096
"""Bytes of the last snapshot that one record more is worth."""
LOADS = 20
"""Attempts to read a snapshot and what follows it, while others write new ones."""
PAUSE = 0.05
"""Seconds between two of them."""


class Gap(Exception):
    """The record behind the last one known has been removed: a snapshot has taken its place."""


class Tail(NamedTuple):
    """Records behind a sequence, each with its own, and their bytes."""

    records: list[tuple[int, Record]]
    size: int


class Part(NamedTuple):
    """What stands before the bytes of a part of a snapshot."""

    upto: int
    """Sequence of the last record that the snapshot has in it."""
    place: int
    of: int


class Journal:
    """Used by one desk."""

    def __init__(self, place: Place, partition: int) -> None:
        names = place.names
        self._link = place.link
        self._written = place.written
        self._stream = names.journal
        self._records = names.records(partition)
        self._snapshots = names.snapshot(partition)
        self._replicated = place.replicated
        self._count = self._size = 0
        self._last_snapshot = 0

    async def load(self) -> State:
        """As the latest snapshot and the records behind it say. Raises `InboxUnavailable`."""
        for _ in range(LOADS):
            state = await self._snapshot() or State()
            self._count = self._size = 0
            try:
                for sequence, record in (await self.news(state.sequence)).records:
                    state.apply(record, sequence)
                return state
            except Gap:
                await asyncio.sleep(PAUSE)
        raise InboxUnavailable("storage_unavailable", "the journal has a gap")

    async def news(self, after: int) -> Tail:
        """All records behind `after`, in order. Raises `Gap`, `InboxUnavailable`."""
        found: list[tuple[int, Record]] = []
        size, last = 0, after
        while messages := await self._read(last + 1):
            for message in messages:
                before, mark, data = message.payload.partition(b"\n")
                if not mark or int(before) != last:
                    raise Gap(f"{before!r} instead of {last}")
                last = message.sequence
                size += len(data)
                found.append((last, understood(Record.decode, data)))
        self._count += len(found)
        self._size += size
        return Tail(found, size)

    async def _read(self, start: int) -> list[Message]:
        messages = await self._link.read(self._stream, self._records, start, MOST, MOST_BYTES)
        if not messages and self._replicated:
            following = await self._link.next(self._stream, self._records, start)
            return [following] if following is not None else []
        return messages

    async def append(self, record: Record, after: int) -> int:
        """Its sequence. Raises `WrongLast`, `OutcomeUnknown`, `InboxUnavailable`."""
        data = record.encode()
        sequence = await self._link.publish(self._records, b"%d\n%b" % (after, data), expected=after)
        self._written.append(sequence)
        self._count += 1
        self._size += len(data)
        return sequence

    @property
    def is_long(self) -> bool:
        """A snapshot would make it shorter by enough."""
        many = self._count >= max(ENOUGH_RECORDS, self._last_snapshot // BYTES_A_RECORD)
        return many or self._size >= max(ENOUGH_BYTES, self._last_snapshot)

    async def shorten(self, data: bytes, upto: int) -> None:
        """Write `data` as the snapshot of the state at record `upto`, and remove what it replaces.

        Nothing happens where another handle does the same. Raises `InboxUnavailable`.
        """
        self._count = self._size = 0
        self._last_snapshot = len(data)
        last = await self._link.last(self._stream, self._snapshots)
        if last is not None and _part(last.payload)[0].upto >= upto:
            return
        before, first = (last.sequence if last is not None else 0), 0
        try:
            for payload in _parts(data, upto):
                before = await self._link.publish(self._snapshots, payload, expected=before)
                self._written.append(before)
                first = first or before
        except WrongLast:
            return
        await self._link.purge(self._stream, self._snapshots, first)
        await self._link.purge(self._stream, self._records, upto)

    async def _snapshot(self) -> State | None:
        """The last one whose parts are all there."""
        complete: bytes | None = None
        parts: list[bytes] = []
        upto = after = 0
        while messages := await self._link.read(self._stream, self._snapshots, after + 1, MOST, MOST_BYTES):
            for message in messages:
                part, data = _part(message.payload)
                parts = [*(parts if part.place and part.upto == upto else []), data]
                upto = part.upto
                if len(parts) == part.of and part.place == part.of - 1:
                    complete = b"".join(parts)
            after = messages[-1].sequence
        if complete is None:
            return None
        self._last_snapshot = len(complete)
        return understood(State.from_snapshot, complete)


def _parts(data: bytes, upto: int) -> list[bytes]:
    count = max(1, -(-len(data) // PART))
    pieces = [data[index * PART : (index + 1) * PART] for index in range(count)]
    return [json.dumps(Part(upto, index, count)).encode() + b"\n" + piece for index, piece in enumerate(pieces)]


def _part(payload: bytes) -> tuple[Part, bytes]:
    head, _, data = payload.partition(b"\n")
    return Part(*json.loads(head)), data
