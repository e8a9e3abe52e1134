"""Replaying what was found to be missing, so that an interruption at any point repeats none and skips none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Protocol

from kirimhook.operating.reconciling.looking import Place
from kirimhook.operating.reconciling.plan import Wanted
from kirimhook.operating.replaying import Course, Snapshot, Tally, place, replay

NOTHING = Tally()
PURPOSE = "reconcile"
"""Names its snapshot: a bulk replay has another."""


Tell = Callable[[Course], None]
Progress = Callable[[int], AbstractContextManager[Tell]]
"""Opened with how many there are; gives what is called with how far it has come."""


class Replayer(Protocol):
    """Both verbs raise what the client raises, OSError, SnapshotError, sqlite3.Error."""

    async def finish(self) -> Tally:
        """What an earlier run was interrupted in: what came of the rest of it."""
        ...

    async def replay(self, wanted: Sequence[Wanted]) -> Tally: ...


class Resumed:
    """By a snapshot on disk, at most `rate` letters a second. `clock` gives unix seconds."""

    def __init__(
        self,
        where: Place,
        clock: Callable[[], float],
        rate: float | None = None,
        progress: Progress | None = None,
    ) -> None:
        self._where = where
        self._clock = clock
        self._rate = rate
        self._progress = progress or _unseen

    @property
    def _path(self) -> Path:
        return place(self._where.subscription_id, PURPOSE)

    async def finish(self) -> Tally:
        snapshot = Snapshot.find(self._path)
        if snapshot is None:
            return NOTHING
        with snapshot:
            return await self._run(snapshot)

    async def replay(self, wanted: Sequence[Wanted]) -> Tally:
        """Remembered before it is done: from the moment the snapshot is on disk, it will be done."""
        if not wanted:
            return NOTHING
        now = int(self._clock() * 1000)
        told = all(one.letter.tells_replays for one in wanted)
        ids = [one.letter.id for one in wanted]
        with Snapshot.create(self._path, ids, subscription_id=self._where.subscription_id, unreplayed=told) as snapshot:
            self._where.memory.note(wanted, now)
            return await self._run(snapshot)

    async def _run(self, snapshot: Snapshot) -> Tally:
        before = snapshot.tally
        with self._progress(snapshot.total) as tell:
            tally = await replay(self._where.client, snapshot, rate=self._rate, tell=tell, clock=self._clock)
        snapshot.remove()
        return Tally(*[now - then for now, then in zip(tally, before, strict=True)])


def _unseen(_total: int) -> AbstractContextManager[Tell]:
    return nullcontext(lambda _course: None)
