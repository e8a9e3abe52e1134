"""Whoever is told what a watch does: its log, a file of metrics, and people, of what needs them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kirimhook.operating.files import write_atomically
from kirimhook.operating.reconciling.memory import Memory
from kirimhook.operating.reconciling.metrics import Figures, exposition
from kirimhook.operating.reconciling.notices import notices
from kirimhook.operating.reconciling.plan import Plan
from kirimhook.operating.reconciling.states import State
from kirimhook.operating.reconciling.troubles import Told
from kirimhook.operating.reconciling.watch import News
from kirimhook.telling import Kind, Notice, NotToldError, Teller, document

MOST_UNTOLD = 20
"""Notices that wait for a teller which does not take them; then the oldest is dropped."""

Say = Callable[[dict[str, Any]], None]


class Announcer:
    """Of one watch. `say` gets a line for each thing that happened, `complain` what could not be told or written."""

    def __init__(
        self,
        memory: Memory,
        subscription_id: str,
        clock: Callable[[], float],
        say: Say,
        complain: Callable[[str], None],
    ) -> None:
        self._memory = memory
        self._subscription_id = subscription_id
        self._clock = clock
        self._say = say
        self._complain = complain
        self.teller: Teller | None = None
        self.metrics: Path | None = None
        self._untold: deque[Notice] = deque(maxlen=MOST_UNTOLD)
        self._plan, self._looked_at = Plan(), 0.0
        self._last: tuple[Any, ...] = ()

    async def hear(self, news: News, told: Told) -> None:
        """`told`: what people know once they were told of this. It is remembered when they were."""
        if news.plan is not None:
            self._plan, self._looked_at = news.plan, self._clock()
        self._log(news)
        self._write(news.state)
        self._untold += notices(news, self._subscription_id, int(self._clock() * 1000))
        await self._tell()
        if not self._untold and told != self._memory.told():
            self._memory.tell(told)

    async def ended(self, why: str) -> None:
        """It cannot go on: the API refuses it. Somebody has to see to that, and to start it again."""
        at = int(self._clock() * 1000)
        self._untold.append(
            Notice(Kind.NOT_RECONCILED, "the watch ended", at, at, subscription_id=self._subscription_id, detail=why)
        )
        await self._tell()

    def _log(self, news: News) -> None:
        """Not what is as it was: a line for every look would hide the others."""
        shown = (news.state, news.detail, self._plan.counts)
        is_news = news.state not in {State.LOOKING, State.RESTING} and shown != self._last
        if is_news or news.is_for_people or news.replayed.done:
            self._last = shown
            self._say(line(news, self._clock()))

    async def _tell(self) -> None:
        if self.teller is None:
            self._untold.clear()
        if self.teller is None or not self._untold:
            return
        now = self._clock()
        names = [f"{one.reason} {one.first_at}" for one in self._untold]
        try:
            await self.teller.tell(document("reconcile", list(self._untold), now, names))
        except NotToldError as error:
            self._complain(f"nobody was told: {error}")
            return
        self._untold.clear()

    def _write(self, state: State) -> None:
        if self.metrics is None:
            return
        plan, spent = self._plan, self._memory.spent(int(self._clock() * 1000))
        is_clean = not (plan.for_people or plan.wanted)
        write_metrics(
            self.metrics,
            Figures(self._subscription_id, self._looked_at, plan, plan.for_people, spent, is_clean, state),
            self._complain,
        )


def line(news: News, at: float) -> dict[str, Any]:
    """One thing that happened, as JSON. `at`: unix seconds."""
    letters = None if news.plan is None else {name: count for name, count in news.plan.to_json().items() if count}
    return {
        "at": at,
        "state": news.state.value,
        "letters": letters,
        "replayed": news.replayed.replayed,
        "gone": news.replayed.gone,
        "refused": news.replayed.refused,
        "detail": news.detail,
        "trouble": None if news.trouble is None else news.trouble.value,
        "left": {verdict.value: count for verdict, count in news.left.items()},
    }


def write_metrics(path: Path, figures: Figures, complain: Callable[[str], None]) -> None:
    """A file that cannot be written stops nothing."""
    try:
        write_atomically(path, exposition(figures).encode())
        path.chmod(0o644)  # another user's exporter reads it; it holds counts
    except OSError as error:
        complain(f"--metrics-file {path}: {error.strerror}")
