"""Replays of all that match: counted first, begun as a run, looked at, stopped. `replaying` is what moves them.

A run takes failing deliveries that were there when it was begun, the oldest first, each once, behind live traffic. What
it makes comes behind that moment, so replays that die again are not taken in. It takes no event id, which can be a
customer's and would outlive its erasure here; the deliveries of one event are few, and are named one by one.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row

from kirimhook.contract import ids
from kirimhook.contract.errors import ApiError
from kirimhook.contract.resources import DeliveryKind, DeliveryStatus
from kirimhook.sender.model import RunStatus
from kirimhook.sender.service.calls import MAX_LIMIT, DeliveryFilter, Page
from kirimhook.sender.service.cursors import Cursors
from kirimhook.sender.service.letters import alive, where_of
from kirimhook.sender.service.moments import moment
from kirimhook.sender.service.scope import Scope
from kirimhook.sender.store import deliveries, replay_runs, replays
from kirimhook.sender.store.replays import Count

PREFIX = "run_"
"""Of a run's id."""
MOST_RUNNING = 10
"""Runs of one organisation at one time."""
MOST_COUNTED = 100_000
"""Deliveries that are looked at when a run is begun, to say how far it has come."""
MOST_TALLIED = 10_000
"""Replays whose outcomes are counted when a run is looked at."""
TALLIED_STEPS = 100
_LIST = "replay_runs"


class Outcomes(NamedTuple):
    """What became of replays that a run made: of the first `counted` of them."""

    counted: int
    succeeded: int
    dead: int
    retrying: int
    """The last attempt failed, and another is due."""
    pending: int


class ReplayRun(NamedTuple):
    """A run. `enqueued`: replays that it has made; `skipped`: what matched and could not be, or no longer needed it."""

    id: str
    where: DeliveryFilter
    status: RunStatus
    matched: int | None
    """When it was begun; None for more than `MOST_COUNTED`."""
    enqueued: int
    skipped: int
    created_at: datetime
    moved_at: datetime
    outcomes: Outcomes | None = None
    """None in a list."""


def new_id(scope: Scope) -> str:
    """For a run that has not been begun: a form sent twice begins it once."""
    return scope.context.new_id(PREFIX, scope.context.now())


async def count(scope: Scope, where: DeliveryFilter, most: int) -> Count:
    """How many match at this moment, of the oldest `most`. Raises ApiError as `start`."""
    sought = _sought(scope, where)

    def operation(connection: Connection) -> Count:
        _check_subscription(connection, scope, where)
        return replays.count(connection, sought, most)

    return await scope.read(operation)


async def start(scope: Scope, where: DeliveryFilter, run_id: str) -> ReplayRun:
    """Begin a run; one that was begun under this id is left as it is.

    Raises ApiError `invalid_field_value` for a status that is neither dead nor failed and for an event id,
    `resource_not_found`, `subscription_deleted`, `unknown_event_type`, `rate_limit_exceeded` past `MOST_RUNNING`.
    """
    if not ids.is_id(PREFIX, run_id):
        raise ApiError("invalid_field_value", "is not the id of a replay", param="id")
    matched, more = await count(scope, where, MOST_COUNTED)
    now = scope.context.now()
    until = deliveries.first_id(now)
    fresh = replay_runs.Fresh(run_id, scope.organisation_id, to_json(where), until, None if more else matched, now)

    def operation(connection: Connection) -> Row[Any] | None:
        if not replay_runs.begin(connection, fresh, MOST_RUNNING):
            message = f"{MOST_RUNNING} replays are running already: wait for one to end, or stop one"
            raise ApiError("rate_limit_exceeded", message)
        return replay_runs.one(connection, run_id, scope.organisation_id)

    return _shown(await scope.write(operation))


async def get(scope: Scope, run_id: str) -> ReplayRun:
    """With its outcomes. Raises ApiError `resource_not_found`."""
    _check_id(run_id)

    def operation(connection: Connection) -> ReplayRun:
        run = _shown(replay_runs.one(connection, run_id, scope.organisation_id))
        tally = replay_runs.tally(connection, scope.organisation_id, run_id, TALLIED_STEPS, MOST_TALLIED)
        order = (DeliveryStatus.SUCCEEDED, DeliveryStatus.DEAD, DeliveryStatus.FAILED, DeliveryStatus.PENDING)
        return run._replace(outcomes=Outcomes(tally.counted, *[tally.statuses.get(status, 0) for status in order]))

    return await scope.read(operation)


async def page(scope: Scope, limit: int, cursor: str | None) -> Page[ReplayRun]:
    """Newest first. Raises ApiError `invalid_limit`, `invalid_cursor`."""
    if not 1 <= limit <= MAX_LIMIT:
        raise ApiError("invalid_limit", f"a page has 1 to {MAX_LIMIT} items", param="limit")
    cursors = Cursors(scope.context.sealer.derived("cursors"))
    bound = (_LIST, scope.organisation_id)
    before = cursors.read(cursor, *bound)
    rows = await scope.read(lambda connection: replay_runs.listed(connection, scope.organisation_id, before, limit + 1))
    following = cursors.make(rows[limit - 1].id, *bound) if len(rows) > limit else None
    return Page([_shown(row) for row in rows[:limit]], following)


async def stop(scope: Scope, run_id: str) -> ReplayRun:
    """From now on it makes none; one that has ended is left as it is. Raises ApiError `resource_not_found`."""
    _check_id(run_id)

    def operation(connection: Connection) -> Row[Any] | None:
        replay_runs.stop(connection, scope.organisation_id, run_id, scope.context.now())
        return replay_runs.one(connection, run_id, scope.organisation_id)

    return _shown(await scope.write(operation))


def filter_of(sought: str) -> DeliveryFilter:
    """The filter in a row of `replay_runs`."""
    said = json.loads(sought)
    moments = [datetime.fromisoformat(text) if (text := said[name]) else None for name in _MOMENTS]
    return DeliveryFilter(
        said["subscription_id"],
        DeliveryStatus(said["status"]),
        said["event_type"],
        None,
        DeliveryKind(said["kind"]) if said["kind"] else None,
        said["unreplayed"],
        *moments,
    )


_MOMENTS = ("created_after", "created_before")


def to_json(where: DeliveryFilter) -> str:
    """What `filter_of` reads."""
    moments = {name: None if (at := getattr(where, name)) is None else at.isoformat() for name in _MOMENTS}
    return json.dumps({**where._asdict(), **moments}, separators=(",", ":"))


def _sought(scope: Scope, where: DeliveryFilter) -> deliveries.Where:
    if where.status not in {DeliveryStatus.DEAD, DeliveryStatus.FAILED}:
        raise ApiError("invalid_field_value", "what is replayed in bulk is dead or failed", param="status")
    if where.event_id is not None:
        raise ApiError("invalid_field_value", "the deliveries of one event are replayed by their ids", param="event_id")
    return where_of(scope, where, None)


def _check_subscription(connection: Connection, scope: Scope, where: DeliveryFilter) -> None:
    if where.subscription_id is not None:
        alive(connection, scope, where.subscription_id)


def _check_id(run_id: str) -> None:
    if not ids.is_id(PREFIX, run_id):
        raise _no_run()


def _no_run() -> ApiError:
    return ApiError("resource_not_found", "there is no such replay")


def _shown(row: Row[Any] | None) -> ReplayRun:
    if row is None:
        raise _no_run()
    return ReplayRun(
        row.id,
        filter_of(row.sought),
        RunStatus(row.status),
        row.matched,
        row.enqueued,
        row.skipped,
        moment(row.created_at),
        moment(row.moved_at),
    )
