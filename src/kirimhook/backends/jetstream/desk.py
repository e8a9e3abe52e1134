"""One partition as one handle works on it: wishes that wait are decided together, over the state that the journal
comes to, and become true with one record.

Whoever appends first wins. The other catches up and decides anew, over what is true now.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

from kirimhook.backends.jetstream.ahead import Ahead
from kirimhook.backends.jetstream.duties import Duties
from kirimhook.backends.jetstream.journal import Gap, Journal
from kirimhook.backends.jetstream.link import OutcomeUnknown, WrongLast
from kirimhook.backends.jetstream.partition.decide import MOST_NOTED, MOST_UNFINISHED, Batch, Taken, portions
from kirimhook.backends.jetstream.partition.record import Record
from kirimhook.backends.jetstream.partition.state import State
from kirimhook.backends.jetstream.place import Place
from kirimhook.receiver.inbox import InboxUnavailable
from kirimhook.receiver.model import Released, Settlement

T = TypeVar("T")

Decide = Callable[[Batch], T]
AGAIN = 0.02
"""Seconds before a record is sent again."""
WIPES = 5
"""Attempts to wipe a journal."""
DOUBTS = 16
"""Records of unknown outcome that are looked out for."""


class Wish(NamedTuple):
    decide: Decide[Any]
    answer: asyncio.Future[Any]
    settlements: Sequence[Settlement]
    forced: bool
    """A record is appended even if it says nothing."""


class Desk:
    """Everything is called on one loop. `unheard` gets settlements that held after all."""

    def __init__(self, place: Place, partition: int, unheard: dict[Settlement, None]) -> None:
        self._place = place
        self._loop = asyncio.get_running_loop()
        self.partition = partition
        self.state = State()
        self.ahead = Ahead(place, partition)
        self.journal = Journal(place, partition)
        self._duties = Duties(place, partition, self._loop.time)
        self._unheard = unheard
        self._wishes: deque[Wish] = deque()
        self._one_at_a_time = asyncio.Lock()
        self._turning = False
        self._loaded = False
        self._records = 0
        self._doubts: dict[str, list[Settlement]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._shortening: asyncio.Task[Any] | None = None
        self._healing: asyncio.Task[Any] | None = None
        self.others_at = float("-inf")
        """When (on the loop's clock) another handle was seen to work here."""
        self.changed: Callable[[], object] = lambda: None
        """Called when a record was applied."""

    # -- wishes

    async def do(self, decide: Decide[T], settlements: Sequence[Settlement] = (), *, forced: bool = False) -> T:
        """What `decide` returns, once the record that makes it true is durable. Raises `InboxUnavailable`."""
        answer: asyncio.Future[T] = self._loop.create_future()
        self._wishes.append(Wish(decide, answer, settlements, forced))
        if not self._turning:
            self._turning = True
            self.spawn(self._turns())
        return await answer

    async def settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        """In as many records as their size calls for, in order."""
        some = await asyncio.gather(*(self._settle(portion) for portion in portions(settlements)))
        return [held for portion in some for held in portion]

    async def _settle(self, portion: Sequence[Settlement]) -> list[bool]:
        return await self.do(lambda batch: batch.settle(portion), portion)

    async def lease(self, limit: int, until: int, token: int) -> list[Taken]:
        return await self.do(lambda batch: batch.lease(limit, until, token))

    async def note_adopted(self) -> bool:
        """Note what was adopted and has been read, and what comes before it; also where that is more than is ever read
        ahead. False: there is no room for more."""
        ahead = self.ahead
        while (ahead.is_full and ahead.has_more) or any(one.adopted is not None for one in ahead.fresh):
            noted = self.state.noted
            await self.do(lambda batch: batch.note(MOST_NOTED))
            if self.state.noted == noted:
                return False
        return True

    async def _turns(self) -> None:
        try:
            while self._wishes:
                await asyncio.sleep(0)  # what is wished for at the same moment shares a record
                async with self._one_at_a_time:
                    await self._turn()
        finally:
            self._turning = False

    async def _turn(self) -> None:
        wishes = list(self._wishes)
        self._wishes.clear()
        until = self._loop.time() + self._place.settings.patience
        try:
            granted, record = await self._agree(wishes, until)
        except BaseException as error:
            for wish in wishes:
                _fail(wish, error)
            if not isinstance(error, Exception):
                raise
            return
        self._wishes.extendleft(reversed(wishes[len(granted) :]))
        if record is not None and (record.ended or record.back or record.removed):
            self.spawn(self._fulfil(record, granted))
        else:
            _tell(granted)

    async def _agree(self, wishes: list[Wish], until: float) -> tuple[list[tuple[Wish, Any]], Record | None]:
        """Decide and append, as often as it takes. What a first record has no room for is left out."""
        await self._load()
        while True:
            batch, granted = self._decide(wishes)
            record = batch.record()
            if record is None and any(wish.forced for wish, _ in granted):
                record = Record(self._next_id(), self.state.noted)
            if record is None or await self._append(record, granted, until):
                return granted, record
            if self._loop.time() > until:
                raise InboxUnavailable("storage_unavailable", "others were faster for too long")

    def _decide(self, wishes: list[Wish]) -> tuple[Batch, list[tuple[Wish, Any]]]:
        batch = Batch(self.state, self.ahead.fresh, self._place.now(), self._next_id())
        self._duties.confirm(batch, self.state)
        granted: list[tuple[Wish, Any]] = []
        for wish in wishes:
            granted.append((wish, wish.decide(batch)))
            if batch.is_heavy:
                break
        return batch, granted

    def _next_id(self) -> str:
        self._records += 1
        return f"{self._place.handle}.{self._records}"

    async def _append(self, record: Record, granted: list[tuple[Wish, Any]], until: float) -> bool:
        """False: it is not in the journal, and never will be.

        Where no answer comes it is sent again: behind the same record it is stored once at most.
        """
        while True:
            try:
                sequence = await self.journal.append(record, self.state.sequence)
            except WrongLast:
                return record.id in await self._catch_up()
            except OutcomeUnknown:
                if self._loop.time() >= until:
                    self._doubt(record, granted)
                    raise
                await asyncio.sleep(AGAIN)
                continue
            self._apply(record, sequence)
            return True

    # -- the state

    async def catch_up(self) -> None:
        """Apply what others have appended. Raises `InboxUnavailable`."""
        async with self._one_at_a_time:
            if self._loaded:
                await self._catch_up()
            else:
                await self._load()

    async def _load(self) -> None:
        if not self._loaded:
            self.state = await self.journal.load()
            self._loaded = True
            self.changed()
            if self.state.aside_due or self.state.removal_due:
                self.spawn(self._duties.heal(self.state, patience=0))

    async def _catch_up(self) -> set[str]:
        """The ids of the records that were new."""
        try:
            tail = await self.journal.news(self.state.sequence)
        except Gap:
            self._loaded = False
            await self._load()
            self.ahead.pass_over(self.state.noted)
            return set()
        for sequence, record in tail.records:
            self._apply(record, sequence)
            if not record.id.startswith(self._place.handle):
                self.others_at = self._loop.time()
            elif record.id in self._doubts:
                self._resolve(record)
        return {record.id for _, record in tail.records}

    def _apply(self, record: Record, sequence: int) -> None:
        self.state.apply(record, sequence)
        self.ahead.pass_over(record.upto)
        self._duties.confirmed(record)
        if self.journal.is_long and self._shortening is None:
            self._shortening = self.spawn(self._shorten())
        self.changed()

    # -- what is not known, and what is left to do

    def _doubt(self, record: Record, granted: list[tuple[Wish, Any]]) -> None:
        held = [
            settlement
            for wish, answer in granted
            for settlement, kept in zip(wish.settlements, answer if wish.settlements else (), strict=True)
            if kept
        ]
        self._doubts[record.id] = held
        while len(self._doubts) > DOUBTS:
            del self._doubts[next(iter(self._doubts))]

    def _resolve(self, record: Record) -> None:
        """It was stored after all: its settlements held, and its leases are nobody's."""
        self._unheard.update(dict.fromkeys(self._doubts.pop(record.id)))
        released = [Settlement(lease.token, head[0], Released()) for lease in record.leased for head in lease.heads]
        if released:
            self.spawn(self._release(released))

    async def _release(self, released: list[Settlement]) -> None:
        with contextlib.suppress(InboxUnavailable):  # then the leases run out
            await self.settle(released)

    async def _fulfil(self, record: Record, granted: list[tuple[Wish, Any]]) -> None:
        """Answer when what is aside is as the record says, so that who asks next finds it so."""
        try:
            await self._duties.fulfil(record, self.state)
        finally:
            _tell(granted)

    async def wipe(self, numbers: Collection[int]) -> None:
        """Overwrite what is left of erased events: the messages, what is aside, reasons in the journal. What is wiped
        already costs a look. Raises `InboxUnavailable`."""
        await self._duties.wipe(numbers, self.state)
        for _ in range(WIPES):
            stains = await self.journal.stains(numbers)
            if not stains:
                return
            await self.do(nothing, forced=True)  # the snapshot to be written is later than any that somebody began
            await self.journal.wipe(stains, self.state.to_snapshot(), self.state.sequence)
        raise InboxUnavailable("storage_unavailable", "others shorten the journal all the while")

    async def _shorten(self) -> None:
        try:
            await self.journal.shorten(self.state.to_snapshot(), self.state.sequence)
        except InboxUnavailable:
            pass  # it is as long as before
        finally:
            self._shortening = None

    @property
    def undeleted(self) -> int:
        """Removed events that, as far as is known here, are still in the stream."""
        return len(self.state.removal_due) - self._duties.unconfirmed

    def tend(self) -> None:
        """Now and then: do what others left undone, confirm what is done."""
        if self._healing is None and self._loaded and (self.state.aside_due or self.state.removal_due):
            self._healing = self.spawn(self._heal())

    async def _heal(self) -> None:
        try:
            await self._duties.heal(self.state)
            if self._duties.has_waited:
                await self.do(nothing)
        except InboxUnavailable:
            pass  # later
        finally:
            self._healing = None

    # -- what there is to lease

    def runs(self, now: int) -> Iterator[tuple[int, int]]:
        """Those that a lease would find, as far as is known here: since when each is due, and the number of its head,
        in order. Nothing may change meanwhile."""
        if self.state.paused:
            return
        found = False
        for head in heapq.merge(self.state.due_heads(now), self._fresh_runs(now)):
            found = True
            yield head
        ahead = self.ahead
        if not found and ahead.fresh and ahead.has_more and len(self.state.entries) < MOST_UNFINISHED:
            yield now, 0  # all are behind others: a lease notes them, and there is room for what comes after

    def _fresh_runs(self, now: int) -> Iterator[tuple[int, int]]:
        seen: set[int] = set()
        for number, lane, at, adopted, _ in self.ahead.fresh:
            if lane is not None:
                if lane in seen or self.state.is_busy(lane):
                    continue
                seen.add(lane)
            due = at if adopted is None or adopted.due is None else adopted.due
            if due <= now or adopted is None:
                yield due, number

    def spawn(self, work: Any) -> asyncio.Task[Any]:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def rest(self) -> None:
        """Return when everything begun here has ended."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)


def nothing(batch: Batch) -> None:
    """A wish that changes nothing; what has to be confirmed goes along with it."""


def _tell(granted: list[tuple[Wish, Any]]) -> None:
    for wish, answer in granted:
        if not wish.answer.done():
            wish.answer.set_result(answer)


def _fail(wish: Wish, error: BaseException) -> None:
    """An error of its own for each."""
    if wish.answer.done():
        return
    if isinstance(error, asyncio.CancelledError):
        wish.answer.cancel()
    elif isinstance(error, InboxUnavailable):
        wish.answer.set_exception(InboxUnavailable(error.reason, error.detail, error.retry_after))
    else:
        wish.answer.set_exception(error)
