"""A model of a provider, an endpoint and an inbox in played time: what a watch works on, without any server.

The endpoint is up or down at any moment. What is replayed while it is up reaches the inbox; what is replayed while it
is down is tried again after the contract's delays, and is a dead letter again after the last.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from kirimhook.client.errors import Unreachable
from kirimhook.contract.retry import SCHEDULE
from kirimhook.operating.reconciling.canary import Canary, Outcome, Probe
from kirimhook.operating.reconciling.letters import Letter
from kirimhook.operating.reconciling.plan import Judged, Plan, Wanted
from kirimhook.operating.reconciling.troubles import Told
from kirimhook.operating.reconciling.verdicts import Facts, Rules, judge
from kirimhook.operating.reconciling.watch import News
from kirimhook.operating.replaying import Tally
from kirimhook.receiver.model import EventState
from tests.operating.reconciling.letters import dead

HOUR = 3600.0


@dataclass
class Provider:
    """`up`: whether the endpoint answers 2xx at a moment. `poison`: events that it refuses for good at any time."""

    clock: Callable[[], float]
    up: Callable[[float], bool]
    poison: frozenset[int] = frozenset()
    is_away: Callable[[float], bool] = lambda _: False
    away: Exception = field(default_factory=lambda: Unreachable("away"))
    """What asking it comes to meanwhile."""
    is_enabled: Callable[[float], bool] = lambda _: True
    is_misplaced: bool = False
    says_why: bool = True
    """Whether it says of a refused event that it is the event's fault."""
    refuses_all: Callable[[float], bool] = lambda _: False
    """While the endpoint refuses whatever comes, for good at once: 404 of a bad deployment."""
    rules: Rules = field(default_factory=Rules)
    letters: dict[int, Letter] = field(default_factory=dict)
    """Dead letters by the number of their event, as far as nothing else speaks for it."""
    held: set[int] = field(default_factory=set)
    replays: list[tuple[float, int]] = field(default_factory=list)
    """When each event was replayed."""
    rounds: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    """For each replay of an event, the round it counts as."""
    taken_last: float = 0.0
    """When the endpoint took anything."""
    probes: list[tuple[float, bool]] = field(default_factory=list)
    _looks: Iterator[int] = field(default_factory=itertools.count)
    _run: float = 0.0
    _open: dict[int, float] = field(default_factory=dict)
    """Replays that the provider goes on trying, by when they began."""

    def die(self, *numbers: int) -> None:
        self.letters.update({number: dead(number) for number in numbers})

    async def unusable(self) -> str | None:
        self._answer()
        return None if self.is_enabled(self.clock()) else "consecutive_failures"

    async def finish(self) -> Tally:
        return Tally()

    async def look(self) -> Plan:
        self._answer()
        self._retry()
        plan = Plan()
        self._run = self.clock() + next(self._looks) * 1e-6
        for number, letter in self.letters.items():
            state = EventState.DONE if number in self.held else None
            rounds, tries = len(set(self.rounds[number])), self.rounds[number].count(self.taken_last)
            verdict = judge(Facts(state=state, rounds=rounds, tries=tries), self.rules)
            plan.add(Judged(letter, verdict, rounds))
        return plan

    async def is_ready(self) -> bool:
        return True

    async def probe(self, wanted: Sequence[Wanted]) -> Probe:
        self._answer()
        sent: list[Canary] = []
        epoch = self.taken_last
        for one in sorted(wanted, key=lambda one: one.rounds)[:3]:
            outcome = self._send(_number(one))
            sent.append(Canary(one.letter, "wbd_", outcome))
            if outcome not in {Outcome.REFUSED, Outcome.ELSEWHERE}:
                break
        is_taken = sent[-1].outcome is Outcome.TAKEN
        for canary in sent:
            own = is_taken or (_number(canary) in self.poison and self.says_why)
            self.rounds[_number(canary)].append(self._run if own else epoch)
        self.probes.append((self.clock(), is_taken))
        return Probe(tuple(sent))

    async def replay(self, wanted: Sequence[Wanted]) -> Tally:
        self._answer()
        for one in wanted:
            self._send(_number(one))
            self.rounds[_number(one)].append(self._run)
        return Tally(len(wanted))

    async def has_recovered(self) -> bool:
        self._answer()
        before = len(self.held)
        self._retry()
        return len(self.held) > before

    def spent(self) -> int:
        return sum(self.clock() - at < HOUR for at, _ in self.replays)

    def room_at(self, budget: int) -> float:
        recent = sorted(at for at, _ in self.replays if self.clock() - at < HOUR)
        return recent[-budget] + HOUR if len(recent) >= budget else self.clock()

    def _answer(self) -> None:
        if self.is_away(self.clock()):
            raise self.away

    def _send(self, number: int) -> Outcome:
        self.replays.append((self.clock(), number))
        if not self.up(self.clock()):
            self.letters.pop(number, None)
            self._open[number] = self.clock()
            return Outcome.FAILED
        if number in self.poison or self.refuses_all(self.clock()):
            return Outcome.REFUSED  # its replay is a dead letter in its place
        self.letters.pop(number, None)
        self.taken_last = self.clock()
        if self.is_misplaced:
            return Outcome.ELSEWHERE
        self.held.add(number)
        return Outcome.TAKEN

    def _retry(self) -> None:
        """What the provider did by itself until now."""
        for number, began in list(self._open.items()):
            at = began
            for delay in SCHEDULE[1:]:
                at += delay
                if at <= self.clock() and self.up(at) and number not in self.poison:
                    self.held.add(number)
                    self.taken_last = max(self.taken_last, at)
                    del self._open[number]
                    break
            else:
                if at <= self.clock():
                    del self._open[number]
                    self.die(number)


def _number(one: Wanted | Canary) -> int:
    return int(one.letter.event_id.removeprefix("evt_"))


class Played:
    """Time that passes only while a watch waits, up to an end."""

    def __init__(self, end: float, now: float = 1_000_000.0) -> None:
        self.now = now
        self.end = now + end
        self.news: list[News] = []
        self.due: list[tuple[float, Callable[[], None]]] = []
        """What happens by itself, and when."""

    def clock(self) -> float:
        return self.now

    def draw(self) -> float:
        return 0.5

    async def wait(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds
        for one in [one for one in self.due if one[0] <= self.now]:
            self.due.remove(one)
            one[1]()

    @property
    def is_stopping(self) -> bool:
        return self.now >= self.end

    async def hear(self, news: News, told: Told) -> None:
        self.news.append(news)
