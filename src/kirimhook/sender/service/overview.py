"""How an organisation's deliveries have gone lately, and what waits. Of what the engines summed up, for people."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection

from kirimhook.contract import ids
from kirimhook.contract.errors import ApiError
from kirimhook.sender.service.moments import moment, moment_or_none
from kirimhook.sender.service.scope import Scope
from kirimhook.sender.service.traffic import KEPT_MINUTES, Traffic, last_minutes, traffic
from kirimhook.sender.store import backlog, minutes
from kirimhook.sender.store.minutes import MINUTE, WHOLE, Sums

HOUR = 60
BUSIEST = 25
"""Subscriptions that are named."""
MOST_COUNTED = 10_000
"""Waiting deliveries that are counted: of more it is said that there are more."""
MOST_STEPS = 72
_STEPS = (1, 5, 20, 60)


class Step(NamedTuple):
    """From this moment on, for `Overview.step_minutes`."""

    at: datetime
    traffic: Traffic


class Waiting(NamedTuple):
    """Counts up to `MOST_COUNTED`, but for what is held."""

    due: int
    """To be attempted now."""
    later: int
    """Under way, or waiting for the moment of their next attempt."""
    held: int
    """Of disabled subscriptions."""
    oldest_due_at: datetime | None
    """Of what is to be attempted now, since when that is which waits longest."""


class Busy(NamedTuple):
    """A subscription, and its traffic of the last hour."""

    id: str
    url: str
    status: str
    """`active`, `disabled` or `deleted`."""
    disabled_reason: str | None
    traffic: Traffic


class Overview(NamedTuple):
    now: datetime
    step_minutes: int
    steps: list[Step]
    """The whole window, the oldest first; the last one is not over yet."""
    total: Traffic
    waiting: Waiting
    busiest: list[Busy]
    """Of the most attempts in the last hour, at most `BUSIEST`; the one asked for, where one was."""
    busiest_since: datetime
    """They were looked for from here on: later than an hour ago where there is too much to look through."""
    has_subscription: bool


async def overview(scope: Scope, window_minutes: int, subscription_id: str | None) -> Overview:
    """Raises ValueError for a window outside 1 to `KEPT_MINUTES`, ApiError `resource_not_found`."""
    if not 1 <= window_minutes <= KEPT_MINUTES:
        raise ValueError(f"a window has from 1 to {KEPT_MINUTES} minutes, not {window_minutes}")
    now = scope.context.now()
    return await scope.read(lambda connection: _read(connection, scope, now, window_minutes, subscription_id))


def _read(connection: Connection, scope: Scope, now: int, window_minutes: int, subscription_id: str | None) -> Overview:
    who = scope.organisation_id
    if subscription_id is not None and not _is_known(connection, who, subscription_id):
        raise ApiError("resource_not_found", "there is no such subscription")
    step = next(step for step in _STEPS if window_minutes <= step * MOST_STEPS)
    window = _window(now, window_minutes, step)
    found = minutes.by_minute(connection, who, window, subscription_id or WHOLE)
    waiting = backlog.backlog(connection, who, now, MOST_COUNTED)
    busiest, since = _busiest(connection, who, last_minutes(now, HOUR), subscription_id)
    return Overview(
        moment(now),
        step,
        _steps(found, window, step),
        traffic(_added(found.values())),
        Waiting(waiting.due, waiting.later, waiting.held, moment_or_none(waiting.oldest)),
        busiest,
        moment(since * MINUTE),
        backlog.has_subscription(connection, who),
    )


def _is_known(connection: Connection, organisation_id: str, subscription_id: str) -> bool:
    return ids.is_id(ids.SUBSCRIPTION, subscription_id) and bool(
        backlog.known(connection, organisation_id, [subscription_id])
    )


def _window(now: int, window_minutes: int, step: int) -> range:
    """From a whole multiple of a step on, so that what a step shows does not depend on when it is looked at."""
    window = last_minutes(now, window_minutes)
    return range(window.start - window.start % step, window.stop)


def _steps(found: dict[int, Sums], window: range, step: int) -> list[Step]:
    return [
        Step(
            moment(start * MINUTE),
            traffic(_added([found[minute] for minute in range(start, start + step) if minute in found])),
        )
        for start in range(window.start, window.stop, step)
    ]


def _busiest(
    connection: Connection, organisation_id: str, hour: range, subscription_id: str | None
) -> tuple[list[Busy], int]:
    sought = minutes.Busiest([subscription_id], hour.start) if subscription_id else None
    ids_, since = sought or minutes.busiest(connection, organisation_id, hour, BUSIEST)
    sums = minutes.of_subscriptions(connection, organisation_id, range(since, hour.stop), ids_)
    known = backlog.known(connection, organisation_id, ids_)
    return [Busy(*known[id_], traffic(sums.get(id_, Sums()))) for id_ in ids_ if id_ in known], since


def _added(some: Iterable[Sums]) -> Sums:
    total = Sums()
    for sums in some:
        total.add(sums.succeeded, sums.failed, sums.dead, sums.latencies)
    return total
