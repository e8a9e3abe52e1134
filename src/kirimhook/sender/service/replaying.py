"""What keeps runs of `replay_runs` going: steps, in a task of the process that began one, or in `Sender.keep`.

A step is one transaction: the run goes on from the id that it had come to, and the replays of what lies between are
made, or neither. So however many step one run, and wherever one of them is killed, each delivery is taken once.
"""

from __future__ import annotations

import asyncio
from typing import Any

from sqlalchemy import Connection, Row

from kirimhook.contract import ids
from kirimhook.contract.resources import DeliveryKind, SubscriptionStatus
from kirimhook.sender.database import StorageUnavailable
from kirimhook.sender.database.port import CLOSED
from kirimhook.sender.model import RunStatus
from kirimhook.sender.service.context import Context
from kirimhook.sender.service.letters import where_of
from kirimhook.sender.service.replay_runs import filter_of
from kirimhook.sender.service.scope import Scope
from kirimhook.sender.store import erasing, holding, locks, replay_runs, replays
from kirimhook.sender.store.fan_out import Batch
from kirimhook.sender.store.replay_runs import Made

STEP = 500
"""Deliveries of one transaction."""
LOOK = 5000
"""Rows of an index that are looked at for them."""
LEFT_ALONE = 10.0
"""Seconds after which a run that nobody moved is gone on with by others."""
RETRY = 1.0
"""Seconds until storage that was away is asked again."""


async def step(context: Context, run_id: str) -> bool:
    """One step. False where there is nothing to go on with: it has ended, or somebody else moves it.

    Raises `StorageUnavailable`.
    """
    found = await context.database.read(lambda connection: _search(connection, context, run_id))
    if found is None:
        return False
    run, (chosen, end) = found
    moved = await context.database.write(lambda connection: _step(connection, context, run, chosen, end))
    context.published()
    return moved and end is not None


def _search(connection: Connection, context: Context, run_id: str) -> tuple[Row[Any], replays.Found] | None:
    run = replay_runs.one(connection, run_id)
    if run is None or run.status != RunStatus.RUNNING:
        return None
    where = where_of(Scope(context, run.organisation_id), filter_of(run.sought), run.until)
    after = max([one for one in (where.after, run.after) if one is not None], default=None)
    return run, replays.following(connection, where._replace(after=after), STEP, LOOK)


def _step(connection: Connection, context: Context, run: Row[Any], chosen: list[str], end: str | None) -> bool:
    """Whether the run was where it was found."""
    locks.share(connection, [run.organisation_id])
    now = max(context.now(), run.created_at)  # a clock behind would make replays that the run takes in again
    if not replay_runs.step(connection, run, end, now):
        return False
    rows = replays.locked(connection, run.organisation_id, chosen) if chosen else []
    made = _make(connection, context, run, [row for row in rows if _is_wanted(row, run)], now)
    replay_runs.record(connection, run.id, made, len(chosen) - (made.deliveries if made else 0))
    return True


def _is_wanted(row: Row[Any], run: Row[Any]) -> bool:
    """Whether it still is what it was found to be: nobody was faster, and no attempt has ended otherwise."""
    where = filter_of(run.sought)
    return row.status == where.status and not (where.unreplayed and row.replayed_by is not None)


def _make(connection: Connection, context: Context, run: Row[Any], rows: list[Row[Any]], now: int) -> Made | None:
    """Replays behind live traffic. Not of what was erased, nor for a subscription that was deleted."""
    gone = erasing.erased(connection, [row.event for row in rows]) if rows else set()
    receivers = replay_runs.receivers(connection, [row.subscription_id for row in rows]) if rows else {}
    wanted = [row for row in rows if row.event not in gone and row.subscription_id in receivers]
    if not wanted:
        return None
    settings = context.settings
    batch = Batch(run.organisation_id, DeliveryKind.REPLAY, len(settings.schedule), now, now, context.notify)
    fresh = context.new_ids(ids.DELIVERY, now, len(wanted))
    numbered = list(zip(wanted, fresh, strict=True))
    for held in (False, True):
        some = [
            (row, id_)
            for row, id_ in numbered
            if (receivers[row.subscription_id] == SubscriptionStatus.DISABLED) is held
        ]
        if some:
            originals, named = [row for row, _ in some], [id_ for _, id_ in some]
            replays.make(connection, batch, originals, named, settings.held_bound, held=held)
    holding.demote(connection, fresh)
    return Made(fresh[0], fresh[-1], len(fresh))


class Adopter:
    """Goes on with runs that were left alone: their process was killed, or is cut off from storage."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._mine: str | None = None

    async def step(self) -> bool:
        """One step of one of them. False where there is none. Raises `StorageUnavailable`."""
        if self._mine is None:
            since = self._context.now() - int(LEFT_ALONE * 1000)
            self._mine = await self._context.database.read(lambda connection: replay_runs.left_alone(connection, since))
        if self._mine is None:
            return False
        if not await step(self._context, self._mine):
            self._mine = None
        return True


class Replaying:
    """The runs that this process began, each in a task of the event loop that began it. They take turns."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def begin(self, run_id: str) -> None:
        """Step it until it ends, or somebody else does. Once is enough."""
        if run_id not in self._tasks:
            task = self._tasks[run_id] = asyncio.get_running_loop().create_task(self._run(run_id))
            task.add_done_callback(lambda _: self._tasks.pop(run_id, None))

    async def settled(self) -> None:
        """Until none is under way."""
        while self._tasks:
            await asyncio.wait(set(self._tasks.values()))

    async def stop(self) -> None:
        """At once: what one is in the middle of is a transaction, done or not. `Sender.keep` goes on, anywhere."""
        tasks = set(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _run(self, run_id: str) -> None:
        loop = asyncio.get_running_loop()
        while True:
            begun = loop.time()
            try:
                if not await step(self._context, run_id):
                    return
            except StorageUnavailable as error:
                if error.reason == CLOSED:
                    return
                await asyncio.sleep(RETRY)
            await asyncio.sleep(loop.time() - begun)  # half of the time storage is free for live traffic
