"""Events of one partition: those not noted yet, read in order ahead of need, and those at hand, with their bodies."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterable

from kirimhook.backends.jetstream.codec import decode
from kirimhook.backends.jetstream.link import Message
from kirimhook.backends.jetstream.names import lane_of
from kirimhook.backends.jetstream.partition.decide import Fresh
from kirimhook.backends.jetstream.place import Place
from kirimhook.backends.jetstream.versions import understood
from kirimhook.receiver.inbox import InboxUnavailable
from kirimhook.receiver.model import InboundEvent

MOST = 2048
"""Events read ahead of what is noted."""
PAGE = 256
"""Events of one request."""
MOST_BYTES = 32 * 1024 * 1024
"""Bodies that one handle has at hand, all its partitions together, plus one message of each."""
OVERHEAD = 512
"""Bytes of an event beside its body, about."""
AT_ONCE = 64
"""Events that are fetched by number at a time."""


class Ahead:
    """Of one partition of one handle. `fresh` is what a `Batch` is given."""

    def __init__(self, place: Place, partition: int) -> None:
        link, names = place.link, place.names
        self._link = link
        self._stream = names.events
        self._subject = names.events_of(partition)
        self._share = MOST_BYTES // place.partitions
        self._replicated = place.replicated
        self._pages = place.pages
        self.fresh: deque[Fresh] = deque()
        self._at_hand: dict[int, InboundEvent] = {}
        self._bytes = 0
        self._read_to = 0
        self.tip = 0
        """Everything that the stream had up to this sequence is read, or noted."""
        self._asked = 0
        self._reading = asyncio.Lock()

    @property
    def has_more(self) -> bool:
        """The stream had events beyond those read, when it was last looked at."""
        return self.tip < self._asked

    @property
    def is_full(self) -> bool:
        return len(self.fresh) >= MOST or (self._bytes >= self._share and bool(self.fresh))

    @property
    def is_reading(self) -> bool:
        return self._reading.locked()

    async def read_on(self, noted: int, tip: int) -> None:
        """Fill it, unless the servers are away: then somebody else will be told."""
        with contextlib.suppress(InboxUnavailable):
            await self.fill(noted, tip)

    async def fill(self, noted: int, tip: int, enough: int = MOST) -> None:
        """Read on behind `noted`, until there are `enough`, it is full, or the end is reached. `tip`: the stream's
        last sequence as it was before this call. Raises `InboxUnavailable`."""
        async with self._reading:
            self.pass_over(noted)
            self._asked = max(self._asked, tip)
            while self.tip < tip and len(self.fresh) < enough and not self.is_full:
                if self._bytes >= self._share:
                    self._let_go()
                messages = await self._read(self._read_to + 1)
                if not messages:
                    self.tip = max(tip, self._read_to)
                    return
                for message in messages:
                    self._take(message)

    def extend(self, messages: list[Message], tip: int) -> None:
        """Take in what was read for several partitions at once, from behind `self.tip` up to `tip`."""
        if self._reading.locked() or self.is_full:
            return
        for message in messages:
            if message.sequence > self._read_to:
                self._take(message)
        self.tip = max(self.tip, tip)

    async def _read(self, start: int) -> list[Message]:
        most = min(PAGE, max(1, MOST - len(self.fresh)))
        async with self._pages:
            room = max(1, self._share - self._bytes)
            messages = await self._link.read(self._stream, self._subject, start, most, room)
        if not messages and self._replicated:
            following = await self._link.next(self._stream, self._subject, start)
            return [following] if following is not None else []
        return messages

    def _take(self, message: Message) -> None:
        self._read_to = number = message.sequence
        stored = understood(decode, message.payload)
        event = stored.event
        self.fresh.append(Fresh(number, lane_of(event.ordering_key), stored.at, stored.adopted, stored.tombstone))
        if stored.adopted is None or stored.adopted.has_payload:
            self._keep(number, event)

    def _keep(self, number: int, event: InboundEvent) -> None:
        if number not in self._at_hand:
            self._at_hand[number] = event
            self._bytes += _weight(event)

    def pass_over(self, noted: int) -> None:
        """Everything up to `noted` is in the journal."""
        fresh = self.fresh
        while fresh and fresh[0].number <= noted:
            fresh.popleft()
        self._read_to = max(self._read_to, noted)

    def _let_go(self) -> None:
        """Of the bodies of events that are noted: the oldest half of them."""
        first_fresh = self.fresh[0].number if self.fresh else self._read_to + 1
        noted = [number for number in self._at_hand if number < first_fresh]
        for number in noted[: len(noted) // 2 + 1]:
            self.forget(number)

    def forget(self, number: int) -> None:
        event = self._at_hand.pop(number, None)
        if event is not None:
            self._bytes -= _weight(event)

    async def take(self, numbers: Iterable[int], room: int) -> dict[int, InboundEvent]:
        """As many of these events as have room for their bodies, in this order, at least the first.

        They are at hand no longer. One that is deleted from the stream is left out, with all behind it.
        """
        found: dict[int, InboundEvent] = {}
        wanted = list(numbers)
        for start in range(0, len(wanted), AT_ONCE):
            some = wanted[start : start + AT_ONCE]
            here = {number: self._at_hand[number] for number in some if number in self._at_hand}
            missing = [number for number in some if number not in here]
            fetched = dict(zip(missing, await self._fetch(missing), strict=True))
            for number in some:
                event = here.get(number) or fetched[number]
                if event is None or (found and len(event.body) > room):
                    return found
                self.forget(number)
                found[number] = event
                room -= len(event.body)
        return found

    async def _fetch(self, numbers: list[int]) -> list[InboundEvent | None]:
        if not numbers:
            return []
        messages = await asyncio.gather(*(self._link.get(self._stream, number) for number in numbers))
        return [understood(decode, message.payload).event if message is not None else None for message in messages]


def _weight(event: InboundEvent) -> int:
    return len(event.body) + OVERHEAD
