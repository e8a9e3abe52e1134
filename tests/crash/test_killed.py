"""G2: claiming an event and storing it are one atomic write. No crash leaves an id claimed and its event lost.

`kirimhook serve` is killed with SIGKILL, children and all, at random moments under load, five times (or
KIRIMHOOK_CHAOS_ROUNDS), and started again; the sender resends every event until its 200. In the end every
event was acknowledged and completed once, its transactional effects are there once, and the file is sound.
The same where it dies at the entry of a chosen write or sync of the database's log.
A receiver that claims in one write and stores in another goes through the same harness, and is caught.
KIRIMHOOK_CHAOS_SEED takes the seed that a run printed.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from kirimhook.contract.samples import Sample
from kirimhook.testing.served import Served, ServeFailed
from tests.crash import journal
from tests.crash.crashes import Outcome, through_crashes
from tests.crash.faulty import FaultyVictim
from tests.crash.processes import Processes
from tests.crash.sender import contact, message
from tests.crash.table import Report, Row

ROUNDS = int(os.environ.get("KIRIMHOOK_CHAOS_ROUNDS", "5"))
SEED = os.environ.get("KIRIMHOOK_CHAOS_SEED", "")
A_ROUND = 300
CUSTOMERS = 40
LEASE = "1"
"""Seconds until another worker may have what a killed one held."""


class ServeVictim:
    """`kirimhook serve`, with a short lease. Killed by SIGKILL, children and all."""

    dies_by_itself = False

    def __init__(self, processes: Processes, *options: str) -> None:
        self.database = processes.database
        self._processes = processes
        self._options = ("--lease", LEASE, "--attempts", "1000", *options)
        self._served: Served | None = None
        self._port = 0
        self.url = ""

    def start(self) -> str:
        self._served = self._processes.serve(*self._options, port=self._port, wrapper=self.wrapper())
        started = self._served.started()
        self._port, self.url = started["port"], started["url"]
        return self.url

    def wrapper(self) -> list[str]:
        """A command that runs it."""
        return []

    def crash(self) -> None:
        assert self._served is not None
        self._served.kill()

    def stop(self) -> None:
        assert self._served is not None
        assert self._served.terminate() == 0


class PreciseVictim(ServeVictim):
    """Dies when it enters a certain write or sync of the database's log: in the middle of a commit."""

    dies_by_itself = True

    def __init__(self, processes: Processes, draw: random.Random) -> None:
        super().__init__(processes)
        self._deaths = [self._death(draw) for _ in range(ROUNDS)]
        self._log = f"{processes.database}-wal"

    def wrapper(self) -> list[str]:
        """None for its last life."""
        if not self._deaths:
            return []
        return [*("strace", "-f", "-qq", "-o", "/dev/null", "-P", self._log), "-e", self._deaths.pop()]

    def start(self) -> str:
        try:
            return super().start()
        except ServeFailed:
            if not self.url or not self._deaths:
                raise
            return self.url  # what the life before left undone can kill it before it says that it serves

    def crash(self) -> None:
        assert self._served is not None
        assert self._served.wait() == -signal.SIGKILL

    @staticmethod
    def _death(draw: random.Random) -> str:
        """The writer thread makes many more writes than syncs."""
        call, most = draw.choice((("pwrite64", 200), ("pwrite64", 200), ("fdatasync", 20)))
        return f"inject={call}:signal=SIGKILL:when={draw.randrange(most // 2, most)}"


def batches(rounds: int, draw: random.Random) -> list[list[Sample]]:
    """Two thirds for the transactional handler, the rest for the async one."""
    kinds = (message, message, contact)
    return [
        [draw.choice(kinds)(f"crash-{number}-{serial}", draw.randrange(CUSTOMERS)) for serial in range(A_ROUND)]
        for number in range(rounds)
    ]


def seed() -> int:
    return int(SEED) if SEED else random.SystemRandom().randrange(1 << 32)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_no_crash_loses_an_event_or_completes_it_twice(workers: str, processes: Processes, report: Report) -> None:
    chosen = seed()
    draw = random.Random(chosen)
    sent = batches(ROUNDS, draw)
    outcome = asyncio.run(through_crashes(ServeVictim(processes, "--workers", workers), sent, draw))
    report(row(f"SIGKILL of serve --workers {workers}", outcome), f"{outcome} (seed {chosen})")
    check(outcome, sent, processes)


@pytest.mark.needs("strace")
def test_no_crash_within_a_commit_does(processes: Processes, report: Report) -> None:
    chosen = seed()
    draw = random.Random(chosen)
    sent = batches(ROUNDS, draw)
    outcome = asyncio.run(through_crashes(PreciseVictim(processes, draw), sent, draw))
    report(row("SIGKILL within a commit", outcome), f"{outcome} (seed {chosen})")
    check(outcome, sent, processes)


def row(fault: str, outcome: Outcome) -> Row:
    once = sum(times == 1 for times in outcome.ledger.done.values())
    return Row("SQLite", fault, ROUNDS, ROUNDS, outcome.acked, once, outcome.twice, outcome.lost)


def check(outcome: Outcome, sent: list[list[Sample]], processes: Processes) -> None:
    """Every event acknowledged and completed once, its effects there once, in order, in a sound file."""
    ids = {sample.event_id for batch in sent for sample in batch}
    in_transaction = Counter(sample.event_id for batch in sent for sample in batch if sample.source == "meta")
    on_the_loop = ids - in_transaction.keys()
    assert outcome.acked == outcome.sent == len(ids)
    assert outcome.cut > 0, "no kill met a request on its way: nothing was tried"
    assert outcome.missing_after_kill == outcome.lost == outcome.twice == outcome.broken_files == 0
    assert outcome.ledger.stored == outcome.ledger.done == Counter(ids)
    assert outcome.ledger.elsewhere == Counter()
    assert outcome.ledger.effects == in_transaction
    assert outcome.ledger.is_in_order
    assert journal.handled(journal.read(processes.journal)).keys() == on_the_loop


def test_a_receiver_that_claims_and_stores_in_two_writes_is_caught(
    tmp_path: Path, processes: Processes, say: Callable[[str], None]
) -> None:
    draw = random.Random(seed())
    rounds = 3
    sent = batches(rounds, draw)
    victim = FaultyVictim(processes)
    try:
        outcome = asyncio.run(through_crashes(victim, sent, draw))
    finally:
        victim.end()
    say(f"G2, the faulty receiver, {rounds} kills: {outcome}")
    assert outcome.acked == outcome.sent, "it does acknowledge: that is its fault"
    assert outcome.lost >= rounds
