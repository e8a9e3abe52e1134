"""What is past its retention, in bounded batches. Contract section 4.

An id carries the time at which it was made, so what is old is at the front of a table. What goes is counted, so that
the ledger balances afterwards: a delivery with its subscription, the deliveries that an event made with its
organisation (`store.ledger`).
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from sqlalchemy import Connection, select

from kirimhook.contract import ids
from kirimhook.contract.resources import DeliveryKind, DeliveryStatus
from kirimhook.sender.model import OPEN, DeadReason
from kirimhook.sender.schema import deliveries, events
from kirimhook.sender.store import holding, idempotency, locks
from kirimhook.sender.store.batches import both, fetch, run
from kirimhook.sender.store.deliveries import first_id

_TASK = "retention"
_PURGE = both("""DELETE FROM deliveries WHERE id IN $1 AND status IN ('succeeded', 'dead')
RETURNING subscription_id, status, kind""")
_PURGE_ATTEMPTS = both("DELETE FROM attempts WHERE delivery_id IN $1")
_COUNT = both("""UPDATE subscriptions SET purged_succeeded = purged_succeeded + $2, purged_dead = purged_dead + $3
WHERE id = $1""")
_FORGET = both("""DELETE FROM events WHERE id IN $1
AND NOT EXISTS (SELECT 1 FROM deliveries WHERE deliveries.event = events.id)
RETURNING organisation_id, matches""")
_COUNT_MATCHES = both("UPDATE organisations SET purged_matches = purged_matches + $2 WHERE id = $1")


class Purged(NamedTuple):
    """What one batch did. `more`: whether there may be another."""

    deliveries: int
    expired: int
    more: bool


class Forgotten(NamedTuple):
    """What one batch of events did. `next`: where the walk goes on; "" at its end."""

    events: int
    next: str


NOTHING = Purged(0, 0, False)


def purge_deliveries(connection: Connection, horizon: int, limit: int, now: int, *, notify: bool) -> Purged:
    """The oldest `limit` of those created before `horizon` (ms): gone, with their attempts.

    One that is open becomes a dead letter (`expired`) first, and goes with the next batch.
    """
    if not locks.if_free(connection, _TASK):
        return NOTHING
    columns = deliveries.c
    query = select(columns.id, columns.status, columns.organisation_id).where(columns.id < first_id(horizon))
    rows = list(connection.execute(query.order_by(columns.id).limit(limit)))
    still_open = [row for row in rows if row.status in OPEN]
    locks.share(connection, {row.organisation_id for row in still_open})
    expired = holding.close(connection, [row.id for row in still_open], DeadReason.EXPIRED, now, notify=notify)
    gone = [row.id for row in rows if row.status not in OPEN]
    return Purged(_purge(connection, gone), expired, bool(still_open) or len(rows) == limit)


def _purge(connection: Connection, delivery_ids: list[str]) -> int:
    if not delivery_ids:
        return 0
    run(connection, _PURGE_ATTEMPTS, delivery_ids)
    rows = fetch(connection, _PURGE, delivery_ids)
    originals = Counter((row[0], row[1]) for row in rows if row[2] == DeliveryKind.ORIGINAL)
    for subscription_id in sorted({subscription_id for subscription_id, _ in originals}):
        succeeded = originals[subscription_id, DeliveryStatus.SUCCEEDED.value]
        run(connection, _COUNT, subscription_id, succeeded, originals[subscription_id, DeliveryStatus.DEAD.value])
    return len(rows)


def forget_events(connection: Connection, horizon: int, after: str, limit: int) -> Forgotten:
    """Of the next `limit` events created before `horizon` (ms), behind `after`: those that no delivery needs.

    Others stay, for replays that are younger; a walk passes each of them once.
    """
    if not locks.if_free(connection, _TASK):
        return Forgotten(0, after)
    query = select(events.c.id).where(events.c.id > after, events.c.id < first_event(horizon))
    found = list(connection.scalars(query.order_by(events.c.id).limit(limit)))
    rows = fetch(connection, _FORGET, found) if found else []
    matches: Counter[str] = Counter()
    for organisation_id, made in rows:
        matches[organisation_id] += made
    for organisation_id in sorted(matches):
        run(connection, _COUNT_MATCHES, organisation_id, matches[organisation_id])
    return Forgotten(len(rows), found[-1] if len(found) == limit else "")


def forget_answers(connection: Connection, oldest: int, limit: int) -> int:
    """At most `limit` idempotency keys of calls answered until `oldest` (ms)."""
    return idempotency.purge(connection, oldest, limit)


def first_event(ms: int) -> str:
    """The least id of an event of this millisecond or later."""
    return ids.make("", max(ms, 0), bytes(ids.RANDOM_BYTES))


def close_deleted(connection: Connection, limit: int, now: int, *, notify: bool) -> int:
    """At most `limit` open deliveries of a subscription that was deleted; how many. 0: there is none left."""
    left = holding.left_by_deletion(connection, 1)
    if not left:
        return 0
    organisation_id, subscription_id = left[0]
    locks.share(connection, [organisation_id])
    chosen = holding.open_deliveries(connection, subscription_id, limit)
    return holding.close(connection, chosen, DeadReason.SUBSCRIPTION_DELETED, now, notify=notify)
