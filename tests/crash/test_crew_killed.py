"""G1, G3 and G5 on every inbox: receivers and workers are killed with SIGKILL, at random, under load.

Two receivers and two workers, each a process of its own. In every round (5, or KIRIMHOOK_CHAOS_ROUNDS) one of either
is killed at a moment that nobody chose, and replaced. Every event is resent until its 200. In the end each was
completed once; what was handled a second time had been in the hands of a worker that was killed; no handler ran
before the events of its key that came earlier had been handled, or beside another of its key.
KIRIMHOOK_CHAOS_SEED takes the seed that a run printed.
"""

from __future__ import annotations

import asyncio
from functools import partial

from tests.crash.processes import Processes
from tests.crash.scene import Scene, kill_at_random
from tests.crash.table import Report


def test_on_sqlite(processes: Processes, report: Report) -> None:
    scene = Scene(processes, report, "SQLite", "SIGKILL of receivers and workers")
    asyncio.run(scene.play(partial(kill_at_random, scene)))
    scene.close()
    assert scene.load.cut > 0, "no kill met a request on its way: nothing was tried"
