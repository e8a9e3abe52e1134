"""The queue as the engine sees it: what is due, under leases. Contract section 4.

A lane is what one subscription has waiting at one rank. A lease looks at a bounded number of subscriptions, from
where the last one ended, and takes no more of a lane than there is room for: a backlog costs it nothing, however
long it is and wherever it lies.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from kirimhook.sender.model import Rank
from kirimhook.sender.store.batches import (
    Column,
    Row,
    Text,
    both,
    fetch,
    is_sqlite,
    plan_by_index,
    plan_in_order,
    run,
    run_batch,
    updating,
)
from kirimhook.sender.store.endpoints import EndpointRow, load

WINDOW = 256
"""Subscriptions that one lease looks at."""

_LANES = both("""WITH RECURSIVE lanes(id, n) AS (
    SELECT (SELECT min(subscription_id) FROM queue WHERE subscription_id > $1), 1
    UNION ALL
    SELECT (SELECT min(subscription_id) FROM queue WHERE subscription_id > lanes.id), n + 1
    FROM lanes WHERE lanes.id IS NOT NULL AND n < $2)
SELECT lanes.id, subscriptions.version,
    (SELECT min(due_at) FROM queue WHERE subscription_id = lanes.id AND rank = 0),
    (SELECT min(due_at) FROM queue WHERE subscription_id = lanes.id AND rank = 1)
FROM lanes LEFT JOIN subscriptions
    ON subscriptions.id = lanes.id AND subscriptions.status = 'active' AND subscriptions.deleted_at IS NULL
WHERE lanes.id IS NOT NULL ORDER BY n""")

_LEASED = """d.organisation_id, d.kind, d.event_id, d.event_type, d.source, d.max_attempts,
    d.created_at, e.id, length(e.body)"""

_TAKE_POSTGRESQL = f"""WITH taken AS MATERIALIZED (
    SELECT q.delivery_id, q.due_at
    FROM unnest($1::text[], $2::smallint[], $3::int[]) AS l(subscription_id, rank, room)
    CROSS JOIN LATERAL (
        SELECT delivery_id, due_at FROM queue
        WHERE queue.subscription_id = l.subscription_id AND queue.rank = l.rank AND queue.due_at <= $4
        ORDER BY due_at LIMIT l.room FOR UPDATE SKIP LOCKED) q
    LIMIT $5),
leased AS (
    UPDATE queue q SET due_at = $6, token = $7 FROM taken WHERE q.delivery_id = taken.delivery_id
    RETURNING q.delivery_id, q.subscription_id, q.rank, q.attempts, taken.due_at)
SELECT l.delivery_id, l.subscription_id, l.rank, l.attempts, l.due_at, {_LEASED},
    CASE WHEN length(e.body) <= $8 THEN e.body END
FROM leased l JOIN deliveries d ON d.id = l.delivery_id JOIN events e ON e.id = d.event
ORDER BY l.rank, l.due_at, l.delivery_id"""

_TAKE_SQLITE = Text(
    f"""SELECT json_group_array(json((
    SELECT json_group_array(json_array(
        q.delivery_id, q.subscription_id, q.rank, q.attempts, q.due_at, {_LEASED},
        CASE WHEN length(e.body) <= ?5 THEN hex(e.body) END))
    FROM (SELECT delivery_id, subscription_id, rank, attempts, due_at FROM queue
        WHERE subscription_id = lane.value AND rank = ?2 AND due_at <= ?3 ORDER BY due_at LIMIT ?4) q
    CROSS JOIN deliveries d ON d.id = q.delivery_id CROSS JOIN events e ON e.id = d.event)))
FROM json_each(?1) lane""",
    "",
)
"""All in one value: at each row the writer's thread would wait for the event loop."""
_MARK = updating("queue", [Column("due_at", "bigint"), Column("token")], Column("delivery_id"))

_FENCE = Text(
    """SELECT json_group_array(json_array(delivery_id, token)) FROM queue
WHERE delivery_id IN (SELECT value FROM json_each(?1))""",
    "SELECT delivery_id, token FROM queue WHERE delivery_id = ANY($1::text[]) ORDER BY delivery_id FOR UPDATE",
)
_RENEW = both("UPDATE queue SET due_at = $2 WHERE delivery_id IN $1")
_NEWEST = both("SELECT max(delivery_id) FROM queue")
_BODY = both("SELECT body FROM events WHERE id = $1")


Lease = tuple[str, str]
"""A delivery, and the token of the lease under which it is held."""


class Leased(NamedTuple):
    """A delivery, the engine's own until its lease ends. `body` is None where it is to be loaded later."""

    delivery_id: str
    subscription_id: str
    rank: int
    attempts: int
    due_at: int
    organisation_id: str
    kind: str
    event_id: str
    event_type: str
    source: str
    max_attempts: int
    created_at: int
    event: str
    size: int
    body: bytes | None


class Order(NamedTuple):
    """What an engine can take. Milliseconds and bytes."""

    after: str
    """The subscription behind which to look; "" from the first."""
    room: int
    small: int
    """Bodies up to this size come along."""
    most: tuple[int, int]
    """How many deliveries of one subscription it may hold at all, and how many of rank BACKGROUND."""
    held: Mapping[str, tuple[int, int]]
    """How many of each subscription it holds, live and background."""
    versions: Mapping[str, int]
    """Of the endpoints that it knows. Read from another thread."""
    now: int
    until: int
    token: str


class Haul(NamedTuple):
    leased: list[Leased]
    endpoints: list[EndpointRow]
    """Those that were unknown, or have changed."""
    after: str
    """Where the next lease goes on; "" when this one saw the last subscription."""
    next_due: int | None
    """When the first of what was seen becomes due."""
    oldest: int | None
    """When the one that waits longest became due; None where nothing does."""


class _Lane(NamedTuple):
    subscription_id: str
    version: int
    rank: int
    room: int


def lease(connection: Connection, order: Order) -> Haul:
    plan_in_order(connection)
    seen = fetch(connection, _LANES, order.after, WINDOW)
    waiting = [at for _, version, *due in seen if version is not None for at in due if at is not None]
    found = _with_room(order, seen)
    lanes = _shared(order, found)
    rows = _take(connection, order, lanes) if lanes else []
    last = lanes[-1].subscription_id if len(found) > len(lanes) else seen[-1][0] if len(seen) == WINDOW else ""
    return Haul(
        [Leased(*row) for row in rows],
        _unknown(connection, order, lanes, {row[1] for row in rows}),
        last,
        min((at for at in waiting if at > order.now), default=None),
        min((at for at in waiting if at <= order.now), default=None),
    )


def _with_room(order: Order, seen: Sequence[Row]) -> list[_Lane]:
    lanes = []
    for subscription_id, version, *due in seen:
        is_due = [at is not None and at <= order.now for at in due]
        if version is None or not any(is_due):
            continue
        for rank, room in _rooms(order, subscription_id, is_due):
            if room > 0:
                lanes.append(_Lane(subscription_id, version, rank, min(room, order.room)))
    return lanes


def _shared(order: Order, lanes: Sequence[_Lane]) -> list[_Lane]:
    """As many lanes as there is room for, none of which takes more than its share of it."""
    share = max(order.room // max(len(lanes), 1), 1)
    return [lane._replace(room=min(lane.room, share)) for lane in lanes[: order.room]]


def _rooms(order: Order, subscription_id: str, is_due: Sequence[bool]) -> Iterator[tuple[Rank, int]]:
    """Where both ranks are due, each leaves something to the other."""
    live, background = order.held.get(subscription_id, (0, 0))
    room = order.most[0] - live - background
    behind = 0
    if is_due[Rank.BACKGROUND]:
        behind = max(min(order.most[1] - background, room // 2 if is_due[Rank.LIVE] else room), 0)
    if is_due[Rank.LIVE]:
        yield Rank.LIVE, room - behind
    yield Rank.BACKGROUND, behind


def _take(connection: Connection, order: Order, lanes: list[_Lane]) -> list[Row]:
    if is_sqlite(connection):
        return _take_sqlite(connection, order, lanes)
    arrays = [lane.subscription_id for lane in lanes], [lane.rank for lane in lanes], [lane.room for lane in lanes]
    values = (*arrays, order.now, order.room, order.until, order.token, order.small)
    return [tuple(row) for row in connection.exec_driver_sql(_TAKE_POSTGRESQL, values).all()]


def _take_sqlite(connection: Connection, order: Order, lanes: list[_Lane]) -> list[Row]:
    """Lanes with the same room go in one statement."""
    alike: dict[tuple[int, int], list[str]] = {}
    for lane in lanes:
        alike.setdefault((int(lane.rank), lane.room), []).append(lane.subscription_id)
    taken: list[Row] = []
    for (rank, room), ids in alike.items():
        [[found]] = fetch(connection, _TAKE_SQLITE, ids, rank, order.now, room, order.small)
        taken += [(*row[:-1], row[-1] and bytes.fromhex(row[-1])) for lane in json.loads(found) for row in lane]
    run_batch(connection, _MARK, [(order.until, order.token, row[0]) for row in taken])
    return taken


def _unknown(connection: Connection, order: Order, lanes: list[_Lane], served: set[str]) -> list[EndpointRow]:
    changed = {
        lane.subscription_id
        for lane in lanes
        if lane.subscription_id in served and order.versions.get(lane.subscription_id) != lane.version
    }
    return load(connection, sorted(changed)) if changed else []


def fenced(connection: Connection, leases: Collection[Lease]) -> set[Lease]:
    """Which of these still hold. On PostgreSQL they do until the transaction ends."""
    rows = fetch(connection, _FENCE, [delivery_id for delivery_id, _ in leases])
    if is_sqlite(connection):
        rows = json.loads(rows[0][0])
    return {(delivery_id, token) for delivery_id, token in rows} & set(leases)


def renew(connection: Connection, leases: Collection[Lease], until: int) -> set[Lease]:
    """Which of them hold, until then."""
    plan_by_index(connection)
    held = fenced(connection, leases)
    if held:
        run(connection, _RENEW, [delivery_id for delivery_id, _ in held], until)
    return held


def give_back(connection: Connection, due: Mapping[str, int]) -> None:
    """End leases that hold, by delivery, with when each is due again."""
    run_batch(connection, _MARK, [(at, None, delivery_id) for delivery_id, at in due.items()])


def newest(connection: Connection) -> str:
    """The delivery that was made last, of those open; "" where none is."""
    plan_by_index(connection)
    return fetch(connection, _NEWEST)[0][0] or ""


def body_of(connection: Connection, event: str) -> bytes | None:
    rows = fetch(connection, _BODY, event)
    return bytes(rows[0][0]) if rows else None
