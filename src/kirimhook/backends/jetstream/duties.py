"""What the journal of a partition asks for outside of it: details to be written aside, removed events to be deleted.

Who appended the record does it at once, and the next record confirms it. Where it was not confirmed, because the
writer died or could not reach the servers, every other handle does it after a while: each step may be done twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping

from kirimhook.backends.jetstream.aside import AsideStream
from kirimhook.backends.jetstream.partition.decide import Batch
from kirimhook.backends.jetstream.partition.entry import Aside as Due
from kirimhook.backends.jetstream.partition.record import Record
from kirimhook.backends.jetstream.partition.state import State
from kirimhook.backends.jetstream.place import Place
from kirimhook.receiver.inbox import InboxUnavailable

PATIENCE = 3.0
"""Seconds that another handle has to do what its record asks for."""
SETTLED = 1.0
"""Seconds after a write before it is confirmed: a server that lags behind has it by then."""
SOON = 2.0
"""Seconds after which what is done is confirmed by a record of its own, where no other takes it along."""
AT_ONCE = 128
"""Deletions on their way."""


class Duties:
    """Of one desk."""

    def __init__(self, place: Place, partition: int, clock: Callable[[], float]) -> None:
        """`clock`: seconds, of any beginning."""
        self._place = place
        self._partition = partition
        self._clock = clock
        self._aside = AsideStream(place.link, place.names)
        self._seen: dict[int, tuple[int, float]] = {}
        self._busy: set[int] = set()
        self._written: dict[tuple[int, int], float] = {}
        self._gone: list[int] = []
        self._unconfirmed_since = 0.0

    @property
    def has_waited(self) -> bool:
        """Something done has been unconfirmed for a while."""
        return bool(self._written or self._gone) and self._clock() - self._unconfirmed_since > SOON

    @property
    def unconfirmed(self) -> int:
        """Deleted, and the journal does not say so yet."""
        return len(self._gone)

    def confirm(self, batch: Batch, state: State) -> None:
        """Say in this record what is done, where it is still asked for."""
        now, due = self._clock(), state.aside_due
        self._written = {one: at for one, at in self._written.items() if one[0] in due and due[one[0]].as_of == one[1]}
        self._gone = [number for number in self._gone if number in state.removal_due]
        batch.confirm([one for one, at in self._written.items() if now - at > SETTLED])
        batch.gone(self._gone)

    def confirmed(self, record: Record) -> None:
        """The record was appended."""
        if record.confirmed or record.gone:
            for one in record.confirmed:
                self._written.pop(one, None)
            gone = set(record.gone)
            self._gone = [number for number in self._gone if number not in gone]

    async def fulfil(self, record: Record, state: State) -> None:
        """What a record of ours, just applied, asks for. What fails is left to a later try."""
        numbers = [ended.number for ended in record.ended] + [back.number for back in record.back]
        due = {number: state.aside_due[number] for number in numbers if number in state.aside_due}
        await self._do(state, due, [number for number, _ in record.removed])

    async def heal(self, state: State, patience: float = PATIENCE) -> None:
        """What has been left undone for so long."""
        due = {number: one for number, one in state.aside_due.items() if self._is_late(number, one.as_of, patience)}
        removed = [number for number in state.removal_due if self._is_late(number, 0, patience)]
        self._seen = {
            number: seen
            for number, seen in self._seen.items()
            if number in state.aside_due or number in state.removal_due
        }
        await self._do(state, due, removed)

    def _is_late(self, number: int, as_of: int, patience: float) -> bool:
        now = self._clock()
        before, since = self._seen.get(number, (as_of, now))
        if before != as_of:
            since = now
        self._seen[number] = (as_of, since)
        return number not in self._busy and now - since >= patience

    async def wipe(self, numbers: Collection[int], state: State) -> None:
        """Of erased events, what has not been done yet. Raises `InboxUnavailable`."""
        left = [number for number in numbers if number in state.removal_due and number not in self._gone]
        await self._wipe(left, state)
        self._done([], [number for number in left if number not in self._gone])

    async def _do(self, state: State, due: Mapping[int, Due], removed: Collection[int]) -> None:
        numbers = {*due, *removed}
        self._busy |= numbers
        try:
            if due:
                await self._aside.write(self._partition, due)
                self._done([(number, one.as_of) for number, one in due.items()], [])
            if removed:
                await self._delete([number for number in removed if number not in state.erased])
                await self._wipe([number for number in removed if number in state.erased], state)
                self._done([], removed)
        except InboxUnavailable:
            pass  # it stays due
        finally:
            self._busy -= numbers

    async def _delete(self, numbers: list[int]) -> None:
        """The events first: where the rest of this does not happen, it is asked for again."""
        link, names = self._place.link, self._place.names
        for start in range(0, len(numbers), AT_ONCE):
            some = numbers[start : start + AT_ONCE]
            await asyncio.gather(*(link.delete(names.events, number) for number in some))
            await self._aside.remove(self._partition, some)

    async def _wipe(self, numbers: list[int], state: State) -> None:
        """Of erased events: with bytes that say nothing over the old ones."""
        link, names = self._place.link, self._place.names
        for start in range(0, len(numbers), AT_ONCE):
            some = numbers[start : start + AT_ONCE]
            await asyncio.gather(*(link.delete(names.events, number, overwrite=True) for number in some))
            as_of = state.sequence
            await asyncio.gather(*(self._aside.wipe(self._partition, number, as_of) for number in some))

    def _done(self, written: Collection[tuple[int, int]], gone: Collection[int]) -> None:
        if not (self._written or self._gone):
            self._unconfirmed_since = self._clock()
        self._written.update(dict.fromkeys(written, self._clock()))
        self._gone += gone
