"""How subscriptions fare, for people: what each has waiting, counted no further than `MOST`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from kirimhook.sender.store.batches import both, fetch, plan_by_index

MOST = 1000
"""Up to where open deliveries are counted: each is an entry of an index that is read."""

_HEALTH = both("""SELECT id, status = 'active', failures, held,
    (SELECT count(*) FROM (SELECT 1 FROM queue WHERE queue.subscription_id = subscriptions.id LIMIT $3) AS counted),
    (SELECT min(due_at) FROM queue WHERE queue.subscription_id = subscriptions.id AND rank = 0),
    (SELECT min(due_at) FROM queue WHERE queue.subscription_id = subscriptions.id AND rank = 1)
FROM subscriptions WHERE id IN $1 AND organisation_id = $2 AND deleted_at IS NULL""")


class HealthRow(NamedTuple):
    """One subscription that is not deleted."""

    subscription_id: str
    is_active: bool
    failures: int
    """Deliveries that died in a row."""
    held: int
    """Open deliveries while it is disabled, exactly; 0 while it is active."""
    waiting: int
    """Open deliveries; `MOST` + 1 where there are more than `MOST`."""
    due_at: int | None
    """When the first of them is due, or its lease ends (ms)."""


def of(connection: Connection, organisation_id: str, subscription_ids: Sequence[str]) -> list[HealthRow]:
    """Those of them that the organisation has, in no order."""
    plan_by_index(connection)
    rows = fetch(connection, _HEALTH, list(subscription_ids), organisation_id, MOST + 1)
    return [
        HealthRow(id_, bool(active), failures, held, waiting, _first(due))
        for id_, active, failures, held, waiting, *due in rows
    ]


def _first(due: Iterable[int | None]) -> int | None:
    return min([at for at in due if at is not None], default=None)
