"""How the subscriptions of one organisation fare: for people who look, in bounded time however much waits."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection

from kirimhook.contract import ids
from kirimhook.sender.service.moments import moment
from kirimhook.sender.service.scope import Scope
from kirimhook.sender.service.traffic import Traffic, last_minutes, traffic
from kirimhook.sender.store import health as store
from kirimhook.sender.store import minutes

WINDOW = 60
"""Minutes of traffic."""


class Health(NamedTuple):
    """One subscription, at one moment."""

    failures: int
    """Deliveries that died in a row; `settings.disable_after` of them disable it."""
    held: int
    """Open deliveries while it is disabled, exactly; 0 while it is active."""
    waiting: int
    """Open deliveries, held or not: at most `store.health.MOST`."""
    has_more: bool
    """Whether more than that wait."""
    overdue_since: datetime | None
    """When the first of those that are due and not under way became due; None where none is, or it is disabled."""
    traffic: Traffic
    """What came of its attempts in the last `WINDOW` minutes."""


async def of(scope: Scope, subscription_ids: Sequence[str], *, with_times: bool = False) -> dict[str, Health]:
    """By id; without those that the organisation does not have, or has deleted. Each costs a bounded count.

    `with_times`: and how long its deliveries took, which costs more than the rest together.
    """
    wanted = [one for one in subscription_ids if ids.is_id(ids.SUBSCRIPTION, one)]
    now = scope.context.now()

    def operation(connection: Connection) -> dict[str, Health]:
        read = minutes.of_subscriptions if with_times else minutes.counts_of
        sums = read(connection, scope.organisation_id, last_minutes(now, WINDOW), wanted)
        rows = store.of(connection, scope.organisation_id, wanted)
        return {row.subscription_id: _health(row, sums.get(row.subscription_id), now) for row in rows}

    return await scope.read(operation)


def _health(row: store.HealthRow, sums: minutes.Sums | None, now: int) -> Health:
    due_at = row.due_at if row.is_active else None
    return Health(
        row.failures,
        row.held,
        min(row.waiting, store.MOST),
        row.waiting > store.MOST,
        None if due_at is None or due_at > now else moment(due_at),
        traffic(sums or minutes.Sums()),
    )
