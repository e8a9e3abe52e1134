"""Runs: replays of all that match, as rows. `model.RUN_TRANSITIONS` says what can become of one.

Every change names the status that it leaves, and every step the id up to which the run had come (`after`). So of
several that step one run, or step it while it is stopped, one has its way and the others change nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from kirimhook.sender.model import RUN_TRANSITIONS, DeliveryStatus, RunMove, RunStatus
from kirimhook.sender.schema import deliveries, replay_runs, replay_steps, subscriptions
from kirimhook.sender.store.locks import alone

_columns = replay_runs.c


class Fresh(NamedTuple):
    """A run to be begun."""

    id: str
    organisation_id: str
    sought: str
    until: str
    matched: int | None
    now: int


class Made(NamedTuple):
    """What one step made: deliveries whose ids go from `first` to `last`, without another's between."""

    first: str
    last: str
    deliveries: int


class Tally(NamedTuple):
    """How the first `counted` deliveries that a run made have fared, by status."""

    statuses: dict[DeliveryStatus, int]
    counted: int


def begin(connection: Connection, run: Fresh, most: int) -> bool:
    """False where its organisation has `most` running already. One that is there already, under this id, stays."""
    alone(connection, run.organisation_id)
    if connection.scalar(select(_columns.id).where(_columns.id == run.id)) is not None:
        return True
    running = select(func.count()).where(
        _columns.organisation_id == run.organisation_id, _columns.status == RunStatus.RUNNING
    )
    if (connection.scalar(running) or 0) >= most:
        return False
    values = {**run._asdict(), "status": RunStatus.RUNNING, "created_at": run.now, "moved_at": run.now}
    del values["now"]
    connection.execute(insert(replay_runs).values(values))
    return True


def one(connection: Connection, run_id: str, organisation_id: str | None = None) -> Row[Any] | None:
    """The row; without an organisation, whosever it is."""
    wanted = [_columns.id == run_id]
    if organisation_id is not None:
        wanted.append(_columns.organisation_id == organisation_id)
    return connection.execute(select(replay_runs).where(*wanted)).one_or_none()


def listed(connection: Connection, organisation_id: str, before: str | None, limit: int) -> list[Row[Any]]:
    """Newest first, behind `before`."""
    wanted = [_columns.organisation_id == organisation_id]
    if before is not None:
        wanted.append(_columns.id < before)
    return list(connection.execute(select(replay_runs).where(*wanted).order_by(_columns.id.desc()).limit(limit)))


def left_alone(connection: Connection, since: int) -> str | None:
    """The run that nobody has moved for the longest time, at the latest at `since` (ms)."""
    wanted = (_columns.status == RunStatus.RUNNING, _columns.moved_at <= since)
    return connection.scalar(select(_columns.id).where(*wanted).order_by(_columns.moved_at).limit(1))


def is_any_running(connection: Connection) -> bool:
    running = _columns.status == RunStatus.RUNNING
    return connection.scalar(select(_columns.id).where(running).limit(1)) is not None


def step(connection: Connection, run: Row[Any], after: str | None, now: int) -> bool:
    """Take the run from where `run` has it to `after`, None for its end. False where it is elsewhere by now.

    Whoever gets True has the run until the transaction ends.
    """
    move = RunMove.FINISH if after is None else RunMove.STEP
    values: dict[str, Any] = {"status": RUN_TRANSITIONS[RunStatus.RUNNING, move], "moved_at": now}
    if after is not None:
        values["after"] = after
    unmoved = _columns.after.is_(None) if run.after is None else _columns.after == run.after
    return _moved(connection, run.id, unmoved, values)


def record(connection: Connection, run_id: str, made: Made | None, skipped: int) -> None:
    """What a step came to, in the transaction that made it."""
    enqueued = 0 if made is None else made.deliveries
    counts = {"enqueued": _columns.enqueued + enqueued, "skipped": _columns.skipped + skipped}
    connection.execute(update(replay_runs).where(_columns.id == run_id).values(counts))
    if made is not None:
        connection.execute(insert(replay_steps).values(run_id=run_id, **made._asdict()))


def stop(connection: Connection, organisation_id: str, run_id: str, now: int) -> bool:
    """False where it is not running."""
    status = RUN_TRANSITIONS[RunStatus.RUNNING, RunMove.STOP]
    mine = _columns.organisation_id == organisation_id
    return _moved(connection, run_id, mine, {"status": status, "moved_at": now})


def _moved(connection: Connection, run_id: str, unless: Any, values: dict[str, Any]) -> bool:
    query = update(replay_runs).where(_columns.id == run_id, _columns.status == RunStatus.RUNNING, unless)
    return connection.execute(query.values(values)).rowcount > 0


def tally(connection: Connection, organisation_id: str, run_id: str, steps: int, most: int) -> Tally:
    """Of the deliveries that its first `steps` steps made, at most `most` and what is left of the last of these."""
    columns = replay_steps.c
    query = select(columns.first, columns.last, columns.deliveries).where(columns.run_id == run_id)
    statuses: dict[DeliveryStatus, int] = {}
    counted = 0
    for first, last, made in connection.execute(query.order_by(columns.first).limit(steps)).all():
        if counted + made > most:
            break
        counted += made
        for status, count in connection.execute(_statuses(organisation_id, first, last)):
            statuses[DeliveryStatus(status)] = statuses.get(DeliveryStatus(status), 0) + count
    return Tally(statuses, counted)


def _statuses(organisation_id: str, first: str, last: str) -> Any:
    columns = deliveries.c
    within = (columns.id >= first, columns.id <= last, columns.organisation_id == organisation_id)
    return select(columns.status, func.count()).where(*within).group_by(columns.status)


def receivers(connection: Connection, subscription_ids: Iterable[str]) -> dict[str, str]:
    """The status of those of these subscriptions that were not deleted."""
    columns = subscriptions.c
    wanted = (columns.id.in_(set(subscription_ids)), columns.deleted_at.is_(None))
    return {row[0]: row[1] for row in connection.execute(select(columns.id, columns.status).where(*wanted))}


def purge(connection: Connection, before: int, limit: int) -> int:
    """At most `limit` runs that were begun before then (ms) and have ended are gone; how many."""
    wanted = (_columns.status != RunStatus.RUNNING, _columns.created_at < before)
    gone = list(connection.scalars(select(_columns.id).where(*wanted).limit(limit)))
    if gone:
        connection.execute(delete(replay_steps).where(replay_steps.c.run_id.in_(gone)))
        connection.execute(delete(replay_runs).where(_columns.id.in_(gone)))
    return len(gone)
