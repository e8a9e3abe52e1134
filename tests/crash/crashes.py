"""The crash harness: a sender that resends until 200, and a receiver that is killed in every round.

What it reports is judged by the tests: the real receiver has to come out whole, a faulty one has to be caught.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from kirimhook.contract.samples import Sample
from tests.crash import ledger
from tests.crash.ledger import Ledger
from tests.crash.sender import Sender
from tests.crash.waiting import soon

ANY_MOMENT = 0.004
"""Seconds: the kill comes up to so much after the answer that set it off, at no moment the sender could know."""


class Victim(Protocol):
    """A receiver that can be crashed, and started again on the same port with the same storage."""

    database: Path
    dies_by_itself: bool
    """Under load, sooner or later: the harness does not choose the moment."""

    def start(self) -> str:
        """Its URL, once it runs."""
        ...

    def crash(self) -> None:
        """Returns when nothing of it runs any more."""

    def stop(self) -> None:
        """Politely."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the sender was told, against what the inbox holds in the end. Counts of events."""

    sent: int
    acked: int
    cut: int
    """Requests that a kill left without an answer."""
    missing_after_kill: int
    """Acknowledged, and not in the file right after a kill."""
    broken_files: int
    """Kills after which `integrity_check` complained; at the end too."""
    lost: int
    """Acknowledged, and not completed although nothing is left to do."""
    twice: int
    """Completed more than once."""
    ledger: Ledger

    def __str__(self) -> str:
        return (
            f"{self.sent} events, {self.acked} acked, {self.cut} requests cut off by a kill, "
            f"{self.ledger.retaken} handled anew after a kill, {self.ledger.done.total()} completed, "
            f"{self.twice} twice, {self.lost} lost, {self.broken_files} broken files"
        )


async def through_crashes(victim: Victim, batches: Sequence[Sequence[Sample]], draw: random.Random) -> Outcome:
    """Send one batch a round; in each, at a random moment, the receiver crashes and is started again."""
    after_kills = []
    url = await asyncio.to_thread(victim.start)
    async with Sender() as sender:
        async with asyncio.TaskGroup() as sending:
            for number, batch in enumerate(batches):
                sending.create_task(sender.send(url, batch))
                if not victim.dies_by_itself:
                    await sender.answered(sender.answers.total() + draw.randrange(1, len(batch) * 9 // 10))
                    await asyncio.sleep(draw.uniform(0, ANY_MOMENT))
                await asyncio.to_thread(victim.crash)
                acked = sender.acked.copy()
                copy = victim.database.with_name(f"after-{number}")
                found = await asyncio.to_thread(ledger.read_beside, victim.database, copy)
                after_kills.append((len(acked - found.stored.keys()), found.integrity))
                await asyncio.to_thread(victim.start)
        await soon(lambda: ledger.unfinished(victim.database) == 0, "the end of all work")
        await asyncio.to_thread(victim.stop)
        return _outcome(sender, sum(map(len, batches)), ledger.read(victim.database), after_kills)


def _outcome(sender: Sender, sent: int, final: Ledger, after_kills: list[tuple[int, str]]) -> Outcome:
    complaints = [integrity for _, integrity in after_kills] + [final.integrity]
    return Outcome(
        sent=sent,
        acked=len(sender.acked),
        cut=sender.cut,
        missing_after_kill=sum(missing for missing, _ in after_kills),
        broken_files=sum(complaint != "ok" for complaint in complaints),
        lost=len(sender.acked - final.done.keys()),
        twice=sum(times > 1 for times in final.done.values()),
        ledger=final,
    )
