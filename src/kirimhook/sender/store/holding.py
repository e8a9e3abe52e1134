"""What becomes of the open deliveries of a subscription that is not attempted. Contract section 4: held, deleted.

`subscriptions.held` counts the queue rows of a disabled subscription. Its keepers hold the organisation's lock: alone
where the status changes, shared where deliveries come and go (`store.locks`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Row, Select, delete, func, select, update

from kirimhook.contract.resources import SubscriptionStatus
from kirimhook.sender.model import DeadReason, DisabledReason, Rank
from kirimhook.sender.schema import queue, secrets, subscribed_types, subscriptions
from kirimhook.sender.store import notices
from kirimhook.sender.store.batches import both, fetch, run
from kirimhook.sender.store.notices import Died

_columns = subscriptions.c

_DEQUEUE = both("DELETE FROM queue WHERE delivery_id IN $1 RETURNING delivery_id, subscription_id")
_CLOSE = both("""UPDATE deliveries SET status = 'dead', dead_reason = $2, next_attempt_at = NULL, finished_at = $3
WHERE id IN $1 AND status IN ('pending', 'failed')""")
_RELEASE = both("""UPDATE subscriptions SET held = held - $2
WHERE id = $1 AND status = 'disabled' AND deleted_at IS NULL""")
_DEMOTE = both("UPDATE queue SET rank = 1 WHERE delivery_id IN $1")


def subscription(connection: Connection, organisation_id: str, subscription_id: str) -> Row[Any] | None:
    """Deleted or not."""
    mine = _columns.organisation_id == organisation_id
    return connection.execute(select(subscriptions).where(_columns.id == subscription_id, mine)).one_or_none()


def close(connection: Connection, delivery_ids: list[str], reason: DeadReason, now: int, *, notify: bool) -> int:
    """Make those of them that are open dead letters, leased or not; how many that were. `notify`: and tell of them.

    An engine that is attempting one finds its lease gone, and writes nothing down.
    """
    if not delivery_ids:
        return 0
    taken = fetch(connection, _DEQUEUE, delivery_ids)
    run(connection, _CLOSE, [delivery_id for delivery_id, _ in taken], reason.value, now)
    release(connection, Counter(subscription_id for _, subscription_id in taken))
    if notify:
        notices.add_dead(connection, [Died(id_, who, reason.value) for id_, who in sorted(taken)], now)
    return len(taken)


def release(connection: Connection, gone: Mapping[str, int]) -> None:
    """So many, by subscription, are no longer open: where it is disabled, that makes room."""
    for subscription_id in sorted(gone):
        run(connection, _RELEASE, subscription_id, gone[subscription_id])


def open_deliveries(connection: Connection, subscription_id: str, limit: int, *, live: bool = False) -> list[str]:
    """At most `limit` of them; with `live` only those that are not behind live traffic."""
    query = select(queue.c.delivery_id).where(queue.c.subscription_id == subscription_id)
    if live:
        query = query.where(queue.c.rank == Rank.LIVE)
    return list(connection.scalars(query.limit(limit)))


def count_open(connection: Connection, subscription_id: str) -> int:
    return connection.scalar(_open_now(subscription_id)) or 0


def _open_now(subscription_id: str) -> Select[Any]:
    return select(func.count()).select_from(queue).where(queue.c.subscription_id == subscription_id)


def demote(connection: Connection, delivery_ids: list[str]) -> None:
    """Put them behind live traffic."""
    if delivery_ids:
        run(connection, _DEMOTE, delivery_ids)


def is_disabled(connection: Connection, subscription_id: str) -> bool:
    query = select(_columns.status).where(_columns.id == subscription_id, _columns.deleted_at.is_(None))
    return connection.scalar(query) == SubscriptionStatus.DISABLED


def disable(connection: Connection, subscription_id: str, reason: DisabledReason) -> bool:
    """Hold what is open. False where it is disabled or deleted already. The caller has the lock alone."""
    active = _is(subscription_id, SubscriptionStatus.ACTIVE)
    changed = connection.execute(
        active.values(
            status=SubscriptionStatus.DISABLED,
            disabled_reason=reason,
            held=_open_now(subscription_id).scalar_subquery(),
            version=_columns.version + 1,
        )
    )
    return changed.rowcount > 0


def enable(connection: Connection, subscription_id: str) -> bool:
    """Attempt what is open, and count its failures anew. False where it is active or deleted already."""
    disabled = _is(subscription_id, SubscriptionStatus.DISABLED)
    changed = connection.execute(
        disabled.values(
            status=SubscriptionStatus.ACTIVE, disabled_reason=None, failures=0, held=0, version=_columns.version + 1
        )
    )
    return changed.rowcount > 0


def _is(subscription_id: str, status: SubscriptionStatus) -> Any:
    return update(subscriptions).where(
        _columns.id == subscription_id, _columns.status == status, _columns.deleted_at.is_(None)
    )


def remove(connection: Connection, subscription_id: str, now: int) -> bool:
    """Nothing matches it any more, and its secrets are gone. False where it was deleted before. Lock: alone."""
    alive = update(subscriptions).where(_columns.id == subscription_id, _columns.deleted_at.is_(None))
    if not connection.execute(alive.values(deleted_at=now, held=0, version=_columns.version + 1)).rowcount:
        return False
    connection.execute(delete(subscribed_types).where(subscribed_types.c.subscription_id == subscription_id))
    connection.execute(delete(secrets).where(secrets.c.subscription_id == subscription_id))
    return True


def left_by_deletion(connection: Connection, limit: int) -> list[tuple[str, str]]:
    """Deleted subscriptions that still have open deliveries: organisation and id."""
    has_open = select(queue.c.delivery_id).where(queue.c.subscription_id == _columns.id).exists()
    query = select(_columns.organisation_id, _columns.id).where(_columns.deleted_at.is_not(None), has_open)
    return [(row[0], row[1]) for row in connection.execute(query.limit(limit))]
