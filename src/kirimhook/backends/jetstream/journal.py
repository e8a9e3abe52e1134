"""The journal of one partition: records, each appended behind the last one that its writer knew, and snapshots.

Appending with the sequence of the last record known is the fence: who has not seen the latest one cannot append.
A message also says which record it follows, so that a reader sees what is missing because a snapshot has replaced
it. Snapshots come in parts, on a subject of their own, appended in the same way.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Sequence
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
WIPED_AT_ONCE = 128
"""Messages that are being overwritten."""
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


class Stains(NamedTuple):
    """Sequences of messages with reasons of erased events in them."""

    records: list[int]
    snapshots: list[int]


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
        self._shortening = asyncio.Lock()

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

    async def _read(self, start: int, subject: str = "") -> list[Message]:
        subject = subject or self._records
        messages = await self._link.read(self._stream, subject, start, MOST, MOST_BYTES)
        if not messages and self._replicated:
            following = await self._link.next(self._stream, subject, start)
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
        async with self._shortening:
            first = await self._write_snapshot(data, upto)
            if first:
                await self._remove_before(first, upto)

    async def stains(self, numbers: Collection[int]) -> Stains | None:
        """Where reasons of these events stand, all of which are erased. None: nowhere. Raises `InboxUnavailable`."""
        records = [
            message.sequence
            for message in await self._all(self._records)
            if understood(Record.decode, message.payload.partition(b"\n")[2]).explains(numbers)
        ]
        snapshots = await self._all(self._snapshots)
        complete, whole = _last_complete(snapshots)
        clean = complete is not None and not understood(State.from_snapshot, complete).explains(numbers)
        stained = [] if clean and whole == len(snapshots) else [one.sequence for one in snapshots]
        return Stains(records, stained) if records or stained else None

    async def wipe(self, stains: Stains, data: bytes, upto: int) -> None:
        """Write a snapshot in which nothing of them stands, then overwrite them. Nothing happens where another handle
        writes one. Raises `InboxUnavailable`."""
        async with self._shortening:
            first = await self._write_snapshot(data, upto)
            if first:
                sequences = [*stains.records, *stains.snapshots]
                for start in range(0, len(sequences), WIPED_AT_ONCE):
                    some = sequences[start : start + WIPED_AT_ONCE]
                    await asyncio.gather(*(self._link.delete(self._stream, one, overwrite=True) for one in some))
                await self._remove_before(first, upto)

    async def _all(self, subject: str) -> list[Message]:
        found: list[Message] = []
        while messages := await self._read(found[-1].sequence + 1 if found else 1, subject):
            found += messages
        return found

    async def _write_snapshot(self, data: bytes, upto: int) -> int:
        """The sequence of its first part; 0 where another handle writes one."""
        self._count = self._size = 0
        self._last_snapshot = len(data)
        last = await self._link.last(self._stream, self._snapshots)
        if last is not None and _part(last.payload)[0].upto >= upto:
            return 0
        before, first = (last.sequence if last is not None else 0), 0
        try:
            for payload in _parts(data, upto):
                before = await self._link.publish(self._snapshots, payload, expected=before)
                self._written.append(before)
                first = first or before
        except WrongLast:
            return 0
        return first

    async def _remove_before(self, first: int, upto: int) -> None:
        await self._link.purge(self._stream, self._snapshots, first)
        await self._link.purge(self._stream, self._records, upto)

    async def _snapshot(self) -> State | None:
        """The last one whose parts are all there."""
        found: list[Message] = []
        while messages := await self._link.read(
            self._stream, self._snapshots, found[-1].sequence + 1 if found else 1, MOST, MOST_BYTES
        ):
            found += messages
        complete, _ = _last_complete(found)
        if complete is None:
            return None
        self._last_snapshot = len(complete)
        return understood(State.from_snapshot, complete)


def _last_complete(messages: Sequence[Message]) -> tuple[bytes | None, int]:
    """The last snapshot whose parts are all there, and how many they are."""
    complete: bytes | None = None
    parts: list[bytes] = []
    upto = whole = 0
    for message in messages:
        part, data = _part(message.payload)
        parts = [*(parts if part.place and part.upto == upto else []), data]
        upto = part.upto
        if len(parts) == part.of and part.place == part.of - 1:
            complete, whole = b"".join(parts), part.of
    return complete, whole


def _parts(data: bytes, upto: int) -> list[bytes]:
    count = max(1, -(-len(data) // PART))
    pieces = [data[index * PART : (index + 1) * PART] for index in range(count)]
    return [json.dumps(Part(upto, index, count)).encode() + b"\n" + piece for index, piece in enumerate(pieces)]


def _part(payload: bytes) -> tuple[Part, bytes]:
    head, _, data = payload.partition(b"\n")
    return Part(*json.loads(head)), data
