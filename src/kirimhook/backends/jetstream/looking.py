"""What an operator asks: one event, lists, counts.

JetStream has no index by state or type: a filter is a walk, over as little as its states and numbers allow. What is
unfinished is in the journal's state, what is parked, unhandled or skipped in a stream of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from kirimhook.backends.cursors import read_cursor, write_cursor
from kirimhook.backends.jetstream.aside import decode as decode_aside
from kirimhook.backends.jetstream.aside import number_in
from kirimhook.backends.jetstream.codec import decode
from kirimhook.backends.jetstream.desk import Desk
from kirimhook.backends.jetstream.desks import Desks
from kirimhook.backends.jetstream.filters import means
from kirimhook.backends.jetstream.link import Message
from kirimhook.backends.jetstream.names import hash26, lane_of
from kirimhook.backends.jetstream.partition.decide import Fresh
from kirimhook.backends.jetstream.place import Place
from kirimhook.backends.jetstream.standing import Found, Standing
from kirimhook.backends.jetstream.versions import understood
from kirimhook.receiver.inbox import Filter, Page, Stats
from kirimhook.receiver.model import FINISHED, EventState, StoredEvent

TRIES = 3
"""Looks for one event that is being erased."""
WINDOW = 256
"""Sequences of the stream that are looked at together."""
MOST_BYTES = 8 * 1024 * 1024
"""Of one read."""
HEAVY = 16 * 1024
"""Bytes of a message from which on a walk keeps its body no longer than it must."""
NOTABLE = FINISHED - {EventState.DONE}
"""Kept aside."""


class Looking:
    """Of one handle."""

    def __init__(self, place: Place, desks: Desks) -> None:
        self._link = place.link
        self._names = place.names
        self._now = place.now
        self._desks = desks
        self._standing = Standing(place, desks)

    async def get(self, number: int) -> StoredEvent | None:
        for _ in range(TRIES):
            if found := await self.named([number]):
                return found[0].stored
        return None

    async def named(self, numbers: Sequence[int]) -> list[Found]:
        """Those that there are."""
        await self._desks.look()
        return await self._standing.of(await self._get(numbers))

    async def read(self, after: int, limit: int) -> list[StoredEvent]:
        """Upwards; fewer than `limit` where bodies are large."""
        await self._desks.look()
        _, last = await self._span()
        while after < last:
            messages = await self._read(after + 1, limit)
            upto = messages[-1].sequence if messages else last
            await self._desks.look()  # what is missing there because it was erased meanwhile is known as erased then
            messages = await self._with_erased(messages, after + 1, upto + 1, limit)
            if found := await self._standing.of(messages[:limit]):
                return [one.stored for one in found]
            after = upto if len(messages) <= limit else self._desks.number_at(messages[limit - 1].sequence)
        return []

    async def known(self, keys: Sequence[bytes]) -> list[EventState | None]:
        """By the last message of each key's subject, as the leader has it."""
        await self._desks.look()
        found: list[EventState | None] = []
        for start in range(0, len(keys), WINDOW):
            some = [self._names.known(hash26(key)) for key in keys[start : start + WINDOW]]
            found += await asyncio.gather(*map(self._known, some))
        return found

    async def _known(self, subject: str) -> EventState | None:
        """A tombstone that the journal does not name yet leaves the event as it is."""
        for _ in range(TRIES):
            message = await self._link.last(self._names.events, subject)
            if message is None:
                return None
            if found := await self._standing.of([message]):
                return found[0].stored.state
            tombstone = understood(decode, message.payload).tombstone
            if tombstone is not None and (found := await self._standing.of(await self._get([tombstone.number]))):
                return found[0].stored.state
            await self._desks.look()
        return None

    async def page(self, where: Filter, limit: int, cursor: str | None, *, bodies: bool = True) -> Page:
        """Downwards. Raises ValueError for a foreign cursor."""
        below = None if cursor is None else read_cursor(where, cursor)
        found: list[StoredEvent] = []
        async for one in self.walk(where, below=below):
            found.append(one.stored)
            if len(found) > limit:
                break
        following = write_cursor(where, found[limit - 1].number) if len(found) > limit else None
        if bodies:
            return Page(await self._whole(found[:limit]), following)
        return Page([replace(one, event=one.event._replace(body=b"")) for one in found[:limit]], following)

    async def count(self, where: Filter) -> int:
        if where == Filter(states=where.states):
            counts = (await self.stats()).counts
            return sum(counts[state] for state in where.states or counts)
        return len([True async for _ in self.walk(where)])

    async def walk(self, where: Filter, below: int | None = None) -> AsyncIterator[Found]:
        """All events that are meant, downwards; large bodies are missing."""
        await self._desks.look()
        first, last = await self._span()
        first = first if where.above is None else max(first, where.above + 1)
        top = min([last + 1, *(one for one in (below, where.below) if one is not None)])
        async for messages in self._windows(where, first, top):
            for one in reversed(await self._standing.of(messages)):
                if means(where, one.stored):
                    yield one

    async def _windows(self, where: Filter, first: int, top: int) -> AsyncIterator[list[Message]]:
        """What may be meant, in [first, top): windows downwards, each upwards."""
        if where.numbers:
            numbers: Sequence[int] = sorted(set(where.numbers))
        elif where.states and where.states <= NOTABLE:
            numbers = await self._notable(where.states)
        elif where.states and not where.states & FINISHED:
            noted = min(desk.state.noted for desk in self._desks.all)
            async for window in self._down(max(first, noted + 1), top):
                yield window
            lane = lane_of(where.ordering_key)
            entries = (entry for desk in self._desks.all for entry in desk.state.entries.values())
            numbers = sorted(one.number for one in entries if one.number <= noted and lane in (None, one.lane))
        else:
            async for window in self._down(first, top):
                yield window
            return
        numbers = [number for number in numbers if number < top and self._desks.sequence_of(number) >= first]
        for end in range(len(numbers), 0, -WINDOW):
            yield [_light(one) for one in await self._get(numbers[max(0, end - WINDOW) : end])]

    async def _down(self, first: int, top: int) -> AsyncIterator[list[Message]]:
        while top > first:
            bottom = max(first, top - WINDOW)
            window: list[Message] = []
            at = bottom
            while at < top and (messages := await self._read(at, WINDOW)):
                window += [_light(one) for one in messages if one.sequence < top]
                at = messages[-1].sequence + 1
            if window := await self._with_erased(window, bottom, top):
                yield window
            top = bottom
        below = self._desks.erased(0, top)
        for end in range(len(below), 0, -WINDOW):
            yield await self._get(below[max(0, end - WINDOW) : end])

    async def _with_erased(self, messages: list[Message], start: int, end: int, most: int = WINDOW) -> list[Message]:
        """By the numbers of their events, which are in [start, end); of those that are erased the first `most`."""
        number_at, erased = self._desks.number_at, self._desks.erased(start, end)
        own = [message for message in messages if number_at(message.sequence) == message.sequence]
        return sorted(own + await self._get(erased[:most]), key=lambda message: number_at(message.sequence))

    async def _notable(self, states: frozenset[EventState]) -> list[int]:
        """Numbers of what is aside in these states, or soon will be."""
        found: set[int] = set()
        at = 1
        names = self._names
        while messages := await self._link.read(names.aside, names.all_aside(), at, WINDOW, MOST_BYTES):
            for message in messages:
                number = number_in(message.subject)
                ended = decode_aside(number, message.payload).ended
                if ended is not None and ended.state in states:
                    found.add(self._desks.number_at(number))
            at = messages[-1].sequence + 1
        for desk in self._desks.all:
            due = (number for number, due in desk.state.aside_due.items() if due.ended is not None)
            found.update(map(self._desks.number_at, due))
            found.update(
                fresh.number
                for fresh in desk.ahead.fresh
                if fresh.adopted and not fresh.tombstone and fresh.adopted.state in states
            )
        return sorted(found)

    async def _get(self, numbers: Sequence[int]) -> list[Message]:
        sequences = map(self._desks.sequence_of, numbers)
        found = await asyncio.gather(*(self._link.get(self._names.events, one) for one in sequences if one > 0))
        return [message for message in found if message is not None]

    async def _read(self, start: int, most: int) -> list[Message]:
        return await self._link.read(self._names.events, self._names.all_events(), start, most, MOST_BYTES)

    async def _whole(self, found: list[StoredEvent]) -> list[StoredEvent]:
        """With the bodies that a walk left out."""
        light = [one.number for one in found if not one.event.body]
        whole = {one.stored.number: one.stored.event for one in await self._standing.of(await self._get(light))}
        return [replace(one, event=whole.get(one.number, one.event)) for one in found]

    async def _span(self) -> tuple[int, int]:
        """First and last sequence of the events' stream."""
        state = (await self._link.info(self._names.events))["state"]
        return int(state["first_seq"]), int(state["last_seq"])

    async def stats(self) -> Stats:
        """By the journal, and by what is not noted there yet."""
        await self._desks.look()
        names, now = self._names, self._now()
        streams = (names.events, names.journal, names.aside)
        infos = [info["state"] for info in await asyncio.gather(*map(self._link.info, streams))]
        states = [desk.state for desk in self._desks.all]
        counts = {state: sum(one.tally[state] for one in states) for state in sorted(FINISHED)}
        running = sum(one.running(now) for one in states)
        waiting = sum(len(one.entries) for one in states) - running + self._fresh(int(infos[0]["messages"]))
        for desk in self._desks.all:
            for fresh in _events(desk):
                if fresh.adopted is not None and fresh.adopted.state in FINISHED:
                    counts[fresh.adopted.state] += 1
                    waiting -= 1
        counts |= {EventState.RUNNING: running, EventState.WAITING: waiting}
        paused = any(one.paused for one in states)
        return Stats(counts, paused, await self._oldest_waiting(), sum(int(info["bytes"]) for info in infos))

    def _fresh(self, messages: int) -> int:
        """Events that are not noted. Where they are too many to be read, what the stream has beyond all others."""
        desks = self._desks.all
        read = sum(len(_events(desk)) for desk in desks)
        if not any(desk.ahead.has_more for desk in desks):
            return read
        noted = sum(sum(desk.state.tally.values()) + len(desk.state.entries) for desk in desks)
        return max(read, messages - noted - sum(desk.undeleted for desk in desks))

    async def _oldest_waiting(self) -> int | None:
        """When the unfinished event with the lowest number arrived (ms)."""
        lowest: list[int] = []
        for desk in self._desks.all:
            fresh = (one.number for one in desk.ahead.fresh if not (one.adopted and one.adopted.state in FINISHED))
            lowest += [one for one in (desk.state.lowest(), next(fresh, None)) if one is not None]
        found = await self._standing.of(await self._get([min(lowest)])) if lowest else []
        return found[0].stored.event.received_at if found else None


def _events(desk: Desk) -> list[Fresh]:
    """That are not noted."""
    return [fresh for fresh in desk.ahead.fresh if fresh.tombstone is None]


def _light(message: Message) -> Message:
    """Without its body, where that is large."""
    if len(message.payload) < HEAVY:
        return message
    return message._replace(payload=message.payload[: message.payload.find(b"\n") + 1])
