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
STALE = 3600.0
"""Seconds after which the rest of an interrupted run is judged anew: the receiver may forget, or hold it by now."""


Tell = Callable[[Course], None]
Progress = Callable[[int], AbstractContextManager[Tell]]
"""Opened with how many there are; gives what is called with how far it has come."""


class Replayer(Protocol):
    """Both verbs raise what the client raises, OSError, SnapshotError, sqlite3.Error."""

    async def finish(self) -> Tally:
        """What an earlier run was interrupted in: what came of the rest of it, unless it is left to another look."""
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
            begun = snapshot.about.get("at")
            if isinstance(begun, int | float) and self._clock() - begun > STALE:
                return self._given_back(snapshot)
            return await self._run(snapshot)

    async def replay(self, wanted: Sequence[Wanted]) -> Tally:
        """Remembered before it is done: from the moment the snapshot is on disk, it will be done."""
        if not wanted:
            return NOTHING
        now = self._clock()
        told = all(one.letter.tells_replays for one in wanted)
        ids = [one.letter.id for one in wanted]
        whose, about = self._where.subscription_id, {"at": now}
        with Snapshot.create(self._path, ids, subscription_id=whose, unreplayed=told, about=about) as snapshot:
            self._where.memory.note(wanted, int(now * 1000))
            return await self._run(snapshot)

    def _given_back(self, snapshot: Snapshot) -> Tally:
        """Another look finds the rest. Of a request in doubt only a provider that tells replays says what it did."""
        in_doubt = 0 if snapshot.next is None else snapshot.next.size
        self._where.memory.take_back(snapshot.ids[snapshot.done + in_doubt :])
        snapshot.remove()
        return Tally(unsure=0 if snapshot.header.unreplayed else in_doubt)

    async def _run(self, snapshot: Snapshot) -> Tally:
        before = snapshot.tally
        with self._progress(snapshot.total) as tell:
            tally = await replay(self._where.client, snapshot, rate=self._rate, tell=tell, clock=self._clock)
        snapshot.remove()
        return Tally(*[now - then for now, then in zip(tally, before, strict=True)])


def _unseen(_total: int) -> AbstractContextManager[Tell]:
    return nullcontext(lambda _course: None)
