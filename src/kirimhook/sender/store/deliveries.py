"""Deliveries, listed and one alone. No list is slow, however many there are.

A page is found by an index, newest first: of the event, of the failing ones, of the subscription, of the organisation.
What no index knows (a type, a kind, …) is looked for among the next `WALK` rows; where they do not fill the page, it
is a short one, and its position is where the walk ended. A delivery's id carries the time at which it was created, so
a window of time is a range of ids.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, literal_column, or_, select

from kirimhook.contract import ids
from kirimhook.contract.events import KIRIM, META, dedupe_key
from kirimhook.contract.resources import DeliveryKind, DeliveryStatus, SubscriptionStatus
from kirimhook.sender.schema import attempts, deliveries, events, subscriptions

WALK = 1000
"""Rows that one page looks through at most."""
MOST_EVENTS = 1000
"""Events under one id that are looked at: statuses of one message share theirs."""

FAILING: ColumnElement[bool] = literal_column("deliveries.status IN ('failed', 'dead')")
"""In these words the indexes of failing deliveries have it; SQLite takes them for nothing else."""
UNREPLAYED: ColumnElement[bool] = literal_column("deliveries.replayed_by IS NULL")
FAILING_UNREPLAYED: ColumnElement[bool] = and_(UNREPLAYED, literal_column("deliveries.status IN ('dead', 'failed')"))
"""The same for the index of those that were not replayed, and for no other."""

_EARLIEST = bytes(ids.RANDOM_BYTES)
_LAST_MS = (1 << 48) - 1

_attempted = (
    select(and_(subscriptions.c.status == SubscriptionStatus.ACTIVE, subscriptions.c.deleted_at.is_(None)))
    .where(subscriptions.c.id == deliveries.c.subscription_id)
    .scalar_subquery()
    .label("is_attempted")
)
"""Whether its subscription is active: what is held has no next attempt to show."""


class Where(NamedTuple):
    """Which deliveries; None means any. `after` and `before` are ids, both exclusive."""

    organisation_id: str
    subscription_id: str | None = None
    """Known to be the organisation's."""
    status: DeliveryStatus | None = None
    event_type: str | None = None
    event_id: str | None = None
    kind: DeliveryKind | None = None
    unreplayed: bool = False
    after: str | None = None
    before: str | None = None


class Listed(NamedTuple):
    rows: list[Row[Any]]
    """`deliveries.*` and `is_attempted`, newest first."""
    next: str | None
    """The id behind which to go on; None at the end."""


def first_id(ms: int) -> str:
    """The least id of a delivery of this millisecond or later."""
    return ids.make(ids.DELIVERY, min(max(ms, 0), _LAST_MS), _EARLIEST)


def listed(connection: Connection, where: Where, limit: int) -> Listed:
    """At most `limit`, in bounded time."""
    if where.event_id is not None:
        return _of_event(connection, where, limit)
    indexed, sought = conditions(where)
    floor = _floor(connection, [*indexed, *window_of(where)]) if sought else None
    window = [deliveries.c.id >= floor, *window_of(where._replace(after=None))] if floor else window_of(where)
    page = _page(connection, with_state(*indexed, *sought, *window).order_by(deliveries.c.id.desc()), limit)
    return page if page.next else Listed(page.rows, floor)


def one(connection: Connection, organisation_id: str, delivery_id: str) -> Row[Any] | None:
    mine = deliveries.c.organisation_id == organisation_id
    return connection.execute(with_state(deliveries.c.id == delivery_id, mine)).one_or_none()


def attempts_of(connection: Connection, delivery_id: str) -> list[str]:
    """`contract.resources.Attempt` as JSON, the first one first."""
    query = select(attempts.c.record).where(attempts.c.delivery_id == delivery_id).order_by(attempts.c.number)
    return list(connection.scalars(query))


def failing(where: Where) -> list[ColumnElement[bool]]:
    """The conditions for failing deliveries of one subscription, in the words of the indexes."""
    indexed, sought = conditions(where)
    return [*indexed, *sought, *window_of(where)]


def with_state(*conditions: ColumnElement[bool]) -> Select[Any]:
    """`deliveries.*` and `is_attempted`."""
    return select(*deliveries.c, _attempted).where(*conditions)


def _page(connection: Connection, query: Select[Any], limit: int) -> Listed:
    rows = list(connection.execute(query.limit(limit + 1)))
    return Listed(rows[:limit], rows[limit - 1].id) if len(rows) > limit else Listed(rows, None)


def conditions(where: Where) -> tuple[list[ColumnElement[bool]], list[ColumnElement[bool]]]:
    """What an index finds, and what is to be looked for among that."""
    columns = deliveries.c
    indexed = [_owner(where)]
    sought: list[ColumnElement[bool]] = []
    is_failing = where.status in {DeliveryStatus.FAILED, DeliveryStatus.DEAD}
    if where.status is not None:
        (indexed if is_failing else sought).append(columns.status == where.status)
    if is_failing and where.unreplayed:
        indexed.append(FAILING_UNREPLAYED)
    else:
        indexed += [FAILING] if is_failing else []
        sought += [UNREPLAYED] if where.unreplayed else []
    if where.event_type is not None:
        sought.append(columns.event_type == where.event_type)
    if where.kind is not None:
        sought.append(columns.kind == where.kind)
    return indexed, sought


def _owner(where: Where) -> ColumnElement[bool]:
    if where.subscription_id is not None:
        return deliveries.c.subscription_id == where.subscription_id
    return deliveries.c.organisation_id == where.organisation_id


def window_of(where: Where) -> list[ColumnElement[bool]]:
    """At most one bound at each end: of two SQLite seeks by the first, and walks to the other."""
    after = [] if where.after is None else [deliveries.c.id > where.after]
    return after if where.before is None else [*after, deliveries.c.id < where.before]


def _floor(connection: Connection, indexed: list[ColumnElement[bool]]) -> str | None:
    """The last id of the walk, where it does not come to the end."""
    query = select(deliveries.c.id).where(*indexed).order_by(deliveries.c.id.desc())
    return connection.scalar(query.limit(1).offset(WALK - 1))


def _of_event(connection: Connection, where: Where, limit: int) -> Listed:
    """Through the event's dedupe key, which begins alike for all events of one source and id."""
    starts = [dedupe_key(source, where.event_id or "", "", b"") for source in (META, KIRIM)]
    key = events.c.dedupe_key
    alike = or_(*[and_(key >= start, key <= start + b"\xff" * len(start)) for start in starts])
    mine = select(events.c.id).where(events.c.organisation_id == where.organisation_id, alike)
    found = list(connection.scalars(mine.limit(MOST_EVENTS)))
    by_id = (deliveries.c.id + "").desc()  # not the column itself, or its index might be walked for the order
    walk = select(deliveries.c.id).where(deliveries.c.event.in_(found), *window_of(where)).order_by(by_id).limit(WALK)
    walked = list(connection.scalars(walk)) if found else []
    indexed, sought = conditions(where)
    query = with_state(deliveries.c.id.in_(walked), *indexed, *sought)
    page = _page(connection, query.order_by(by_id), limit) if walked else Listed([], None)
    return page if page.next or len(walked) < WALK else Listed(page.rows, walked[-1])
