"""Goes on reconciling: whenever the endpoint is healthy again, within a budget, telling people what they must do.

`states` says what follows what; here it is carried out. What takes time, and the time itself, are arguments.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol

from kirimhook.client.errors import RateLimited, Refused, ServiceFailed, UnexpectedAnswer, Unreachable
from kirimhook.operating.reconciling import states, troubles
from kirimhook.operating.reconciling.ground import World
from kirimhook.operating.reconciling.passing import sent
from kirimhook.operating.reconciling.plan import Plan, Wanted
from kirimhook.operating.reconciling.states import ENDED, WAITING, Course, Move, Pace, State, moved
from kirimhook.operating.reconciling.troubles import Told
from kirimhook.operating.reconciling.verdicts import Verdict
from kirimhook.operating.replaying import Tally
from kirimhook.receiver.inbox import InboxUnavailable

BUDGET = 1000
PORTION = 1000
"""Letters that are replayed before a canary is sent again."""
LOST = (Refused, Unreachable, UnexpectedAnswer, InboxUnavailable)
"""What may pass without anybody's doing: see `passes`."""
SHARE = 10.0
"""A look that takes long is made rarely: it may take a tenth of the time."""
DRAIN = 5.0
"""Seconds that what was begun may take when the watch is told to stop. It is taken up again at the next start."""


def passes(error: Exception) -> bool:
    """A refusal of the API itself does not. One without its envelope is a proxy's: `http_404`, and passes with it."""
    if not isinstance(error, Refused) or isinstance(error, ServiceFailed | RateLimited):
        return True
    return error.code in {"idempotency_in_progress", f"http_{error.status}"}


class News(NamedTuple):
    """Something happened. `trouble` and `left` are what people must be told of."""

    state: State
    plan: Plan | None
    replayed: Tally
    detail: str | None
    trouble: State | None = None
    left: Mapping[Verdict, int] = {}

    @property
    def is_for_people(self) -> bool:
        return self.trouble is not None or bool(self.left)


class Surroundings(Protocol):
    """Time, chance, and whoever listens. `wait` returns after so many seconds, or when the watch is to stop."""

    def clock(self) -> float: ...

    def draw(self) -> float: ...

    async def wait(self, seconds: float) -> None: ...

    @property
    def is_stopping(self) -> bool: ...

    async def hear(self, news: News, told: Told) -> None: ...


@dataclass(frozen=True, slots=True)
class Terms:
    """`budget`: replays an hour, canaries included."""

    budget: int = BUDGET
    pace: Pace = field(default_factory=Pace)


class Watch:
    """Runs once. `told`: what people know already."""

    def __init__(self, world: World, around: Surroundings, terms: Terms, told: Told = Told()) -> None:  # noqa: B008  # a tuple
        self._world = world
        self._around = around
        self._terms = terms
        self.told = told
        self.course = Course(wake_at=around.clock(), failures=int(State.UNHEALTHY in told.troubles))
        self._plan = Plan()
        self._pace = terms.pace
        self._portion: list[Wanted] = []
        self._replayed = Tally()
        self._detail: str | None = None

    async def run(self) -> State:
        """Until it is told to stop, or cannot go on: the state in which it ended.

        Raises what the client raises of a key or a subscription that is refused, OSError, sqlite3.Error.
        """
        while self.course.state not in ENDED:
            move = Move.STOP if self._around.is_stopping else await self._step()
            await self._apply(move)
        return self.course.state

    async def _step(self) -> Move:
        self._replayed, self._detail = Tally(), None
        if self.course.state in WAITING:
            return await self._rested()
        work: dict[State, Callable[[], Awaitable[Move]]] = {
            State.LOOKING: self._looked,
            State.PROBING: self._probed,
            State.REPLAYING: self._replay,
        }
        try:
            return await work[self.course.state]()
        except LOST as error:
            if not passes(error):
                raise
            self._detail = str(error) or type(error).__name__
            return Move.LOST

    async def _rested(self) -> Move:
        """Until it is time to look; sooner when the endpoint is seen to have recovered."""
        can_hear = self.course.failures > 0 and (self.course.state, Move.HEARD) in states.TRANSITIONS
        while not self._around.is_stopping:
            left = self.course.wake_at - self._around.clock()
            if left <= 0:
                return Move.LOOK
            await self._around.wait(min(left, self._terms.pace.every) if can_hear else left)
            if can_hear and not self._around.is_stopping and await self._has_recovered():
                return Move.HEARD
        return Move.STOP

    async def _has_recovered(self) -> bool:
        try:
            return await self._world.has_recovered()
        except LOST as error:
            if not passes(error):
                raise
            return False

    async def _looked(self) -> Move:
        disabled = await self._world.unusable()
        if disabled is not None:
            self._detail = disabled
            return Move.DISABLE
        self._replayed = await self._world.finish()
        began = self._around.clock()
        self._plan = await self._world.look()
        took = self._around.clock() - began
        self._pace = replace(self._terms.pace, every=max(self._terms.pace.every, took * SHARE))
        if not self._plan.wanted:
            return Move.NOTHING
        if not await self._world.is_ready():
            self._detail = "the receiver says that it is not ready"
            return Move.NOT_READY
        room = self._terms.budget - self._world.spent()
        if room <= 0:
            return Move.SPENT
        self._portion = self._plan.in_order()[: min(room, PORTION)]
        return Move.FOUND

    async def _probed(self) -> Move:
        probe = await self._world.probe(self._portion)
        self._replayed, self._detail = sent(probe), probe.sent[-1].detail
        if probe.is_elsewhere:
            return Move.MISPLACE
        self._portion = [one for one in self._portion if one.letter.id not in probe.letters]
        return Move.TAKEN if probe.is_taken else Move.NOT_TAKEN

    async def _replay(self) -> Move:
        if self._portion:
            self._replayed = await self._world.replay(self._portion)
        return Move.DONE

    async def _apply(self, move: Move) -> None:
        room_at = self._world.room_at(self._terms.budget) if move is Move.SPENT else 0.0
        before, now = self.course.state, self._around.clock()
        self.course = moved(self.course, move, now, self._around.draw(), self._pace, room_at)
        self.told, trouble = troubles.trouble(self.told, self.course, move)
        has_looked = before is State.LOOKING and move not in {Move.LOST, Move.DISABLE, Move.STOP}
        left: dict[Verdict, int] = {}
        if has_looked:
            self.told, left = troubles.left(self.told, self._plan.counts)
        plan = self._plan if has_looked else None
        news = News(self.course.state, plan, self._replayed, self._detail, trouble, left)
        await self._around.hear(news, self.told)


class Living:
    """The surroundings of a real watch: `stop` ends what it waits for."""

    def __init__(
        self,
        clock: Callable[[], float],
        draw: Callable[[], float],
        stop: asyncio.Event,
        hear: Callable[[News, Told], Awaitable[None]],
    ) -> None:
        self.clock = clock
        self.draw = draw
        self._hear = hear
        self._stop = stop

    @property
    def is_stopping(self) -> bool:
        return self._stop.is_set()

    async def hear(self, news: News, told: Told) -> None:
        await self._hear(news, told)

    async def wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        except TimeoutError:
            pass


async def until_stopped(work: Awaitable[State], stop: asyncio.Event, drain: float = DRAIN) -> State:
    """Run it; when `stop` is set, let what was begun go on for `drain` seconds, then break it off."""
    task: asyncio.Future[Any] = asyncio.ensure_future(work)
    waiting = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            await asyncio.wait({task}, timeout=drain)
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
        return State.STOPPED if task.cancelled() else task.result()
    finally:
        waiting.cancel()
