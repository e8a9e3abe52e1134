"""`kirimhook reconcile --watch`: a process that stays, for a supervisor to start."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from random import SystemRandom
from typing import TYPE_CHECKING, Any

from kirimhook.cli import output
from kirimhook.cli.failure import Exit, misuse
from kirimhook.cli.reconcile_joined import Joined
from kirimhook.cli.reconcile_shown import line
from kirimhook.contract.errors import ApiError
from kirimhook.operating.reconciling.announcing import Announcer
from kirimhook.operating.reconciling.looking import Place
from kirimhook.operating.reconciling.states import Pace, State
from kirimhook.operating.reconciling.watch import BUDGET, Living, Terms, Watch, until_stopped
from kirimhook.telling.tellers import teller_of

if TYPE_CHECKING:
    from kirimhook.telling import Teller


@dataclass(frozen=True, slots=True)
class Watching:
    """None: as it is usual."""

    joined: Joined
    budget: int | None
    every: float | None
    notify: str | None
    metrics: Path | None

    def run(self, *, as_lines: bool) -> Exit:
        """Until it is told to stop. Raises `Failure`."""
        terms, teller = self._terms(), self._teller()

        async def work(place: Place) -> State:
            announcer = Announcer(place.memory, place.subscription_id, time.time, _say(as_lines), output.note)
            announcer.teller, announcer.metrics = teller, self.metrics
            stop = _told_to_stop()
            around = Living(time.time, SystemRandom().random, stop, announcer.hear)
            watch = Watch(self.joined.ground(place), around, terms, place.memory.told())
            try:
                return await until_stopped(watch.run(), stop)
            except ApiError as error:
                await announcer.ended(f"{error.status} {error.code}: {error.message}")
                raise

        return Exit.OK if self.joined.run(work) is State.STOPPED else Exit.NO

    def _terms(self) -> Terms:
        usual = Pace()
        every = usual.every if self.every is None else self.every
        pace = Pace(every, min(usual.first, every), usual.longest)
        return Terms(BUDGET if self.budget is None else self.budget, pace)

    def _teller(self) -> Teller | None:
        try:
            return None if self.notify is None else teller_of(self.notify)
        except ValueError as error:
            raise misuse(f"--notify: {error}") from None


def _told_to_stop() -> asyncio.Event:
    """Set by the first SIGTERM or SIGINT; a second one ends the process as if nobody had handled it."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()

    def told() -> None:
        stop.set()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told)
    return stop


def _say(as_lines: bool) -> Any:
    def say(said: dict[str, Any]) -> None:
        if as_lines:
            output.line(said)
        else:
            output.text(output.printable(line(said)))
        sys.stdout.flush()

    return say
