"""A crew under continuous load, faults in between, and the account at the end."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from kirimhook.backends import open_inbox
from kirimhook.contract.samples import Sample
from kirimhook.receiver.model import EventState
from tests.crash import account
from tests.crash.crew import EACH, Crew
from tests.crash.journal import Fault, Tail
from tests.crash.load import Load
from tests.crash.processes import Processes
from tests.crash.sender import contact, message, of
from tests.crash.table import Report
from tests.crash.waiting import SOON

ROUNDS = int(os.environ.get("KIRIMHOOK_CHAOS_ROUNDS", "5"))
SEED = os.environ.get("KIRIMHOOK_CHAOS_SEED", "")
LOOK = 0.05
"""Seconds between two looks at what other processes have done."""
ANY_MOMENT = 0.004
"""Seconds."""
MOST_AGAIN = 20

UNFINISHED = {EventState.WAITING.value, EventState.RUNNING.value}

Kind = Callable[[str, int], Sample]


def created(event_id: str, customer: int) -> Sample:
    """For the handler in a thread; one ordering key a customer."""
    return of("contact.created", event_id, customer)


PLAIN: tuple[Kind, ...] = (contact, created)
BOOKED: tuple[Kind, ...] = (contact, created, message, message)


class Scene:
    """`storage` and `fault` name it in the table; `report` takes its row of it, and what else there is to say."""

    def __init__(
        self,
        processes: Processes,
        report: Report,
        storage: str,
        fault: str,
        *,
        handlers: str = "tests.crash.plain_handlers:hooks",
        kinds: Sequence[Kind] = PLAIN,
        effects: Callable[[], Counter[str]] = Counter,
    ) -> None:
        """`effects`: those that transactional handlers left, by event id, at the end."""
        self.seed = int(SEED) if SEED else random.SystemRandom().randrange(1 << 32)
        self.draw = random.Random(self.seed)
        self.crew = Crew(processes, handlers)
        self.load = Load(self.crew.urls, kinds, "event", self.draw)
        self.kills = 0
        """Of servers; the crew counts its own."""
        self._names = storage, fault
        self._processes = processes
        self._report = report
        self._effects = effects
        self._tally: dict[str, int] = {}
        self._handled = Tail(processes.journal)

    async def play(self, fault: Callable[[int], Awaitable[None]]) -> None:
        """The fault ROUNDS times under load; on return all that was sent is acknowledged, and nothing is left to do."""
        await asyncio.to_thread(self.crew.start)
        try:
            async with self.load:
                await self.flows(time.monotonic())
                for number in range(ROUNDS):
                    await fault(number)
            await self._nothing_is_left()
        except (AssertionError, TimeoutError) as error:
            error.add_note(f"seed {self.seed}\n{self.crew.logs()}")
            raise

    async def flows(self, since: float) -> None:
        """Wait until an event sent after `since` was acknowledged, and one of those was handled."""
        await self.load.acks(since)
        await until(
            lambda: any(answer.event_id in self._handled.look() for answer in self.load.fresh(since)),
            "the handling of a new event",
        )

    @asynccontextmanager
    async def outage(self) -> AsyncIterator[None]:
        """What is done in it can keep every worker from settling; it is over when all flows again."""
        began = time.monotonic()
        yield
        await self.flows(time.monotonic())
        self.crew.faults.append(Fault(began, time.monotonic()))

    def close(self) -> None:
        """End the crew, which has to end well, and check the account. Raises AssertionError for a broken promise."""
        codes = self.crew.stop()
        found = account.of_inbox(self._processes, self._tally, self._effects())
        kills = self.kills + self.crew.kills
        row = found.row(*self._names, rounds=ROUNDS, kills=kills, acked=self.load.acked)
        self._report(
            row,
            f"{self.load.cut} requests cut off, {self.load.refused} refused, {self.load.duplicates} duplicates,"
            f" {found.handled_again()} handled again (seed {self.seed})",
        )
        found.check(self.load.sent, self.crew.faults)
        assert self.load.acked == {sample.event_id for sample in self.load.sent}
        assert set(codes) == {0}

    async def _nothing_is_left(self) -> None:
        inbox = open_inbox(self._processes.inbox)
        await inbox.open()
        try:
            async with asyncio.timeout(SOON):
                while not self._tally or UNFINISHED & self._tally.keys():
                    await asyncio.sleep(LOOK)
                    counts = (await inbox.stats()).counts
                    self._tally = {state.value: count for state, count in counts.items() if count}
        finally:
            await inbox.close()


async def until(holds: Callable[[], object], what: str) -> None:
    """Look until it holds, beside all else on this loop. Raises AssertionError."""
    end = time.monotonic() + SOON
    while not holds():
        assert time.monotonic() < end, f"not within {SOON:g} s: {what}"
        await asyncio.sleep(LOOK)


async def kill_at_random(scene: Scene, number: int) -> None:
    """A receiver that is taking a request, and a worker, at a moment that nobody chose; and new ones in their place.

    In the last round again and again, if no kill has cut a request off by then: else nothing would have been tried.
    """
    for _ in range(MOST_AGAIN if number == ROUNDS - 1 else 1):
        await scene.load.answered(scene.draw.randrange(1, 100))
        url = await scene.load.on_its_way()
        await asyncio.sleep(scene.draw.uniform(0, ANY_MOMENT))
        await asyncio.gather(
            asyncio.to_thread(scene.crew.kill_receiver, scene.crew.urls().index(url)),
            asyncio.to_thread(scene.crew.kill_worker, scene.draw.randrange(EACH)),
        )
        if scene.load.cut:
            break
