"""All partitions as one handle works on them: what a verb means for each, and what is new in the streams."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TypeVar

from kirimhook.backends.jetstream.ahead import MOST, PAGE
from kirimhook.backends.jetstream.desk import Desk, nothing
from kirimhook.backends.jetstream.link import Message
from kirimhook.backends.jetstream.names import Names
from kirimhook.backends.jetstream.partition.decide import Taken
from kirimhook.backends.jetstream.place import Place
from kirimhook.receiver.inbox import InboxUnavailable
from kirimhook.receiver.model import InboundEvent, Lease, LeasedEvent, Released, Settlement

T = TypeVar("T")

MOST_BYTES = 32 * 1024 * 1024
"""Bodies handed out by one lease; of each partition that was asked at least one event."""
ROUNDS = 6
"""Attempts of one lease to find as many runs as it may."""
AWAY = 2.0
"""Seconds during which a partition where another handle was at work is asked last."""
MOST_UNHEARD = 10_000


class Desks:
    """Everything is called on one loop."""

    def __init__(self, place: Place, changed: Callable[[], object]) -> None:
        """`changed` is called when something may have become due."""
        self._place = place
        self._loop = asyncio.get_running_loop()
        self._unheard: dict[Settlement, None] = {}
        self.all = [Desk(place, partition, self._unheard) for partition in range(place.partitions)]
        for desk in self.all:
            desk.changed = changed
        self._looking = asyncio.Lock()
        self._begun = self._looked = self._failures = 0
        self._caught_up = -1
        self.tip = 0
        """The last sequence of the events' stream, as far as is known."""

    # -- what is new

    async def look(self, enough: int = PAGE) -> None:
        """Catch up with the journal, and read ahead in each partition until there are `enough`, or no more.

        What was appended before this call is in. Callers at the same time share a look, also one that fails.
        Raises `InboxUnavailable`.
        """
        wanted, failures = self._begun + 1, self._failures
        async with self._looking:
            if self._failures > failures:
                raise InboxUnavailable("storage_unavailable", "the look before this one failed")
            if self._looked >= wanted:
                return
            self._begun += 1
            mine = self._begun
            try:
                await self._look(enough)
            except InboxUnavailable:
                self._failures += 1
                raise
            self._looked = mine

    async def _look(self, enough: int) -> None:
        link, names = self._place.link, self._place.names
        events, journal = await asyncio.gather(link.info(names.events), link.info(names.journal))
        last = int(journal["state"]["last_seq"])
        if not self._is_ours(last):
            await _each(desk.catch_up() for desk in self.all)
        self._caught_up = last
        await self._read_ahead(int(events["state"]["last_seq"]), enough)
        for desk in self.all:
            desk.tend()

    def _is_ours(self, last: int) -> bool:
        """Whether everything in the journal's stream up to `last`, since it was looked at before, is known to be ours.

        By sequence: what is written just now may be in the stream although its answer is not here yet.
        """
        written = self._place.written
        written[:] = [sequence for sequence in written if sequence > self._caught_up]
        ours = sum(sequence <= last for sequence in written)
        return self._caught_up >= 0 and last - self._caught_up == ours

    async def _read_ahead(self, tip: int, enough: int) -> None:
        before, self.tip = self.tip, tip
        if 0 < before < tip <= before + PAGE and all(desk.ahead.tip >= before for desk in self.all):
            await self._read_across(before, tip)
        await _each(
            desk.ahead.fill(desk.state.noted, tip, enough)
            for desk in self.all
            if desk.ahead.tip < tip and len(desk.ahead.fresh) < enough
        )

    async def _read_across(self, before: int, tip: int) -> None:
        """A little that is new is read for all partitions together."""
        link, names = self._place.link, self._place.names
        share = MOST_BYTES // self._place.partitions
        messages = await link.read(names.events, names.all_events(), before + 1, PAGE, share)
        found: dict[int, list[Message]] = {}
        for message in messages:
            found.setdefault(Names.partition_in(message.subject), []).append(message)
        reached = messages[-1].sequence if messages else before
        for desk in self.all:
            if desk.ahead.tip == before:
                desk.ahead.extend(found.get(desk.partition, []), min(tip, reached))

    def read_on(self) -> None:
        """Read ahead while what is there is being handled."""
        for desk in self.all:
            ahead = desk.ahead
            if ahead.tip < self.tip and len(ahead.fresh) < MOST // 2 and not ahead.is_reading:
                desk.spawn(ahead.read_on(desk.state.noted, self.tip))

    def is_due(self) -> bool:
        """Something may be leased, as far as is known."""
        now = self._place.now()
        return any(True for desk in self.all for _ in desk.runs(now))

    # -- lease

    async def lease(self, limit: int, until: int) -> list[Lease]:
        """Up to `limit` runs. Raises `InboxUnavailable` when there are none because of it."""
        token = secrets.randbits(62) + 1
        leases: list[Lease] = []
        for round_ in range(ROUNDS):
            wanted = limit - len(leases)
            shares, enough = self._shares(wanted)
            if not enough:
                await self.look(MOST if round_ else max(PAGE, wanted))
                shares, _ = self._shares(wanted)
            if not shares or self._place.now() >= until:  # what it took has run out: it would be taken once more
                break
            found = await self._take(shares, until, token)
            heads = {lease.run[0].number for lease in leases}
            leases += [lease for lease in found if lease.run[0].number not in heads]
            if any(lease.suspect for lease in leases):
                leases = await self._alone(leases)
                break
            if len(leases) >= limit:
                break
        self.read_on()
        return leases

    def _shares(self, wanted: int) -> tuple[dict[Desk, int], bool]:
        """Whom to ask for how much, by what has been due for longest, and whether that is as much as is wanted.

        A suspect that is due is asked for by itself. Where others are at work is asked last.
        """
        horizon = self._loop.time() - AWAY
        shares: Counter[Desk] = Counter()
        for others in (False, True):
            desks = [desk for desk in self.all if (desk.others_at > horizon) is others]
            for desk, number in self._oldest(desks, wanted - shares.total()):
                entry = desk.state.entries.get(number)
                if entry is not None and entry.is_suspect():
                    return {desk: wanted}, True
                shares[desk] += 1
        return shares, shares.total() >= wanted

    def _oldest(self, desks: Sequence[Desk], most: int) -> Iterator[tuple[Desk, int]]:
        """Of the runs that these have: whose it is, and its head."""
        now = self._place.now()
        heads = heapq.merge(*(_runs(desk, now) for desk in desks))
        return ((self.all[partition], number) for _, number, partition in islice(heads, most))

    async def _take(self, shares: dict[Desk, int], until: int, token: int) -> list[Lease]:
        room = MOST_BYTES // len(shares)
        results = await asyncio.gather(
            *(self._take_from(desk, share, until, token, room) for desk, share in shares.items()),
            return_exceptions=True,
        )
        found = [lease for result in results if not isinstance(result, BaseException) for lease in result]
        errors = [result for result in results if isinstance(result, BaseException)]
        if errors and not found:
            raise errors[0]
        return found

    async def _take_from(self, desk: Desk, share: int, until: int, token: int, room: int) -> list[Lease]:
        """With their events. A run ends where the room does; what has none at all is released."""
        taken = await desk.lease(share, until, token)
        try:
            numbers = [number for one in taken for number, _ in one.run]
            events = await desk.ahead.take(numbers, room) if numbers else {}
        except InboxUnavailable:
            desk.spawn(self._release(desk, taken))
            raise
        leases = [lease for one in taken if (lease := _lease(one, events)) is not None]
        if len(leases) < len(taken):
            await self._release(desk, [one for one in taken if one.run[0][0] not in events])
        return leases

    async def _release(self, desk: Desk, taken: Sequence[Taken]) -> None:
        with contextlib.suppress(InboxUnavailable):  # then they run out
            await desk.settle([Settlement(one.token, one.run[0][0], Released()) for one in taken])

    async def _alone(self, leases: list[Lease]) -> list[Lease]:
        """One suspect, and nothing beside it."""
        chosen = next(lease for lease in leases if lease.suspect)
        others = [lease for lease in leases if lease is not chosen]
        if others:
            await self.settle([Settlement(lease.token, lease.run[0].number, Released()) for lease in others])
        return [chosen]

    # -- settle and renew

    async def settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        """As the port says. Settlements that held although this raises are known when they come again."""
        held = [False] * len(settlements)
        self._hear(settlements, held)
        errors = await self._settle(settlements, held)
        if not errors and not all(held):
            await self.look()
            errors = await self._settle(settlements, held)
        if errors:
            self._unheard.update((one, None) for one, known in zip(settlements, held, strict=True) if known)
            while len(self._unheard) > MOST_UNHEARD:
                del self._unheard[next(iter(self._unheard))]
            raise errors[0]
        return held

    async def _settle(self, settlements: Sequence[Settlement], held: list[bool]) -> list[BaseException]:
        """Those that do not hold yet; what went wrong."""
        places = self._by_desk([(one.number, place) for place, one in enumerate(settlements) if not held[place]])
        results = await asyncio.gather(
            *(desk.settle([settlements[place] for place in mine]) for desk, mine in places.items()),
            return_exceptions=True,
        )
        errors: list[BaseException] = []
        for mine, result in zip(places.values(), results, strict=True):
            if isinstance(result, BaseException):
                errors.append(result)
            else:
                for place, kept in zip(mine, result, strict=True):
                    held[place] = kept
        self._hear(settlements, held)
        return errors

    def _hear(self, settlements: Sequence[Settlement], held: list[bool]) -> None:
        """Of those that held before, though nobody was told."""
        if self._unheard:
            for place, one in enumerate(settlements):
                held[place] = held[place] or self._unheard.pop(one, 0) is None

    async def renew(self, heads: Sequence[tuple[int, int]], until: int) -> list[bool]:
        held = [False] * len(heads)
        for again in (False, True):
            if again and not all(held):
                await self.look()
            places = self._by_desk([(number, place) for place, (_, number) in enumerate(heads) if not held[place]])
            await _each(self._renew(desk, heads, mine, until, held) for desk, mine in places.items())
        return held

    async def _renew(
        self, desk: Desk, heads: Sequence[tuple[int, int]], mine: list[int], until: int, held: list[bool]
    ) -> None:
        asked = [heads[place] for place in mine]
        for place, kept in zip(mine, await desk.do(lambda batch: batch.renew(asked, until)), strict=True):
            held[place] = kept

    async def probe(self) -> None:
        """Write something that says nothing. Raises `InboxUnavailable`."""
        await self.all[0].do(nothing, forced=True)

    def sequence_of(self, number: int) -> int:
        """Of the message of that event; 0 where the message with that number stands for another event."""
        for desk in self.all:
            if number in desk.state.tombstones:
                return 0
            if number in desk.state.erased:
                return desk.state.erased[number]
        return number

    def number_at(self, sequence: int) -> int:
        """Of the event whose message that is."""
        return next((d.state.tombstones[sequence] for d in self.all if sequence in d.state.tombstones), sequence)

    def erased(self, start: int, end: int) -> list[int]:
        """Numbers of erased events in [start, end)."""
        return sorted(number for desk in self.all for number in desk.state.erased if start <= number < end)

    def _by_desk(self, numbers: Iterable[tuple[int, int]]) -> dict[Desk, list[int]]:
        """By who has the unfinished event of that number: the places. Of no use to anybody: in none."""
        found: dict[Desk, list[int]] = {}
        for number, place in numbers:
            for desk in self.all:
                if number in desk.state.entries:
                    found.setdefault(desk, []).append(place)
                    break
        return found

    async def pause(self, paused: bool) -> None:
        """In every partition, with a record of each: what this handle knows may be out of date."""
        await _each(desk.do(lambda batch: batch.pause(paused), forced=True) for desk in self.all)

    async def note_adopted(self) -> None:
        """What was adopted is in the journal then, and counted there. Raises `InboxUnavailable`."""
        going = True
        while going:
            await self.look(MOST)
            noted = await _each(desk.note_adopted() for desk in self.all)
            going = all(noted) and any(desk.ahead.tip < self.tip for desk in self.all)

    async def rest(self) -> None:
        await _each(desk.rest() for desk in self.all)


def _runs(desk: Desk, now: int) -> Iterator[tuple[int, int, int]]:
    return ((due, number, desk.partition) for due, number in desk.runs(now))


def _lease(taken: Taken, events: Mapping[int, InboundEvent]) -> Lease | None:
    run = []
    for number, attempt in taken.run:
        event = events.get(number)
        if event is None:
            break
        run.append(LeasedEvent(number, attempt, event))
    return Lease(taken.token, tuple(run), taken.suspect) if run else None


async def _each(work: Iterable[Awaitable[T]]) -> list[T]:
    """All at once; when all have ended, the first error."""
    results = await asyncio.gather(*work, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results  # type: ignore[return-value]  # none is an exception
