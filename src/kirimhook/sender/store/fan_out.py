"""From events to open deliveries: who wants them, how many a disabled subscription may still hold, the rows.

Needs the organisation's lock, shared: then neither what matches nor who is active changes meanwhile.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from kirimhook.sender.model import DeadReason, DeliveryKind, DeliveryStatus, Rank, SubscriptionStatus
from kirimhook.sender.store import notices
from kirimhook.sender.store.batches import Column, Row, Text, both, fetch, inserting, run_batch, updating
from kirimhook.sender.store.notices import Died

AT_ONCE = 10_000
"""Rows of one statement."""

_MATCHING = both(
    "SELECT t.event_type, t.subscription_id, (SELECT s.status FROM subscriptions s WHERE s.id = t.subscription_id)"
    " FROM subscribed_types t WHERE t.organisation_id = $1 AND t.event_type IN $2 ORDER BY t.subscription_id"
)
"""A deleted one has no types. Looked up one by one: a join planned while the tables were empty takes N² steps."""
_HOLDING = "SELECT id, held FROM subscriptions WHERE status = 'disabled' AND id"
_HELD = Text(
    f"{_HOLDING} IN (SELECT value FROM json_each(?1))", f"{_HOLDING} = ANY($1::text[]) ORDER BY id FOR NO KEY UPDATE"
)
_HOLD = updating("subscriptions", [Column("held", "integer")], Column("id"))

_ADD_DELIVERIES = inserting(
    "deliveries",
    Column("id"),
    Column("organisation_id"),
    Column("subscription_id"),
    Column("event"),
    Column("event_id"),
    Column("event_type"),
    Column("source"),
    Column("kind"),
    Column("original", "boolean"),
    Column("status"),
    Column("dead_reason"),
    Column("max_attempts", "smallint"),
    Column("next_attempt_at", "bigint"),
    Column("created_at", "bigint"),
    Column("finished_at", "bigint"),
)
_ADD_QUEUED = inserting(
    "queue", Column("delivery_id"), Column("subscription_id"), Column("rank", "smallint"), Column("due_at", "bigint")
)


class Event(NamedTuple):
    """What a delivery's row repeats of its event."""

    row: str
    """`events.id`."""
    event_id: str
    type: str
    source: str


class Match(NamedTuple):
    subscription_id: str
    disabled: bool


class Wanted(NamedTuple):
    """A delivery to be made."""

    event: Event
    match: Match


class Batch(NamedTuple):
    """What all deliveries of one call have in common. Times in ms."""

    organisation_id: str
    kind: DeliveryKind
    max_attempts: int
    now: int
    due_at: int
    notify: bool = False
    """Whether somebody is told of dead letters."""


def matching(connection: Connection, organisation_id: str, types: Sequence[str]) -> dict[str, list[Match]]:
    """By event type, the subscriptions that want it."""
    found: dict[str, list[Match]] = {name: [] for name in types}
    for name, subscription_id, status in fetch(connection, _MATCHING, organisation_id, list(found)):
        found[name].append(Match(subscription_id, status == SubscriptionStatus.DISABLED))
    return found


def hold(connection: Connection, wanted: Iterable[Wanted], bound: int) -> Counter[str]:
    """Make room for what disabled subscriptions are to hold: how many each of them takes, at most up to `bound`."""
    asked = Counter(one.match.subscription_id for one in wanted if one.match.disabled)
    if not asked:
        return asked
    rooms: Counter[str] = Counter()
    counts = []
    for subscription_id, held in fetch(connection, _HELD, sorted(asked)):
        rooms[subscription_id] = min(asked[subscription_id], max(bound - held, 0))
        counts.append((held + rooms[subscription_id], subscription_id))
    run_batch(connection, _HOLD, counts)
    return rooms


def add(
    connection: Connection, batch: Batch, wanted: Sequence[Wanted], ids: Sequence[str], rooms: Counter[str]
) -> None:
    """The rows of these deliveries, by their ids. Takes from `rooms`; a disabled subscription without room gets a dead
    letter (`held_full`)."""
    for start in range(0, len(wanted), AT_ONCE):
        numbered = list(zip(ids[start : start + AT_ONCE], wanted[start : start + AT_ONCE], strict=True))
        ranks = [_rank(one.match, rooms) for _, one in numbered]
        run_batch(connection, _ADD_DELIVERIES, _deliveries(batch, numbered, ranks))
        run_batch(connection, _ADD_QUEUED, _queued(batch, numbered, ranks))
        if batch.notify:
            notices.add_dead(connection, _full(numbered, ranks), batch.now)


def _rank(match: Match, rooms: Counter[str]) -> Rank | None:
    """None: it is not open."""
    if not match.disabled:
        return Rank.LIVE
    if not rooms[match.subscription_id]:
        return None
    rooms[match.subscription_id] -= 1
    return Rank.BACKGROUND


def _deliveries(batch: Batch, numbered: list[tuple[str, Wanted]], ranks: list[Rank | None]) -> list[Row]:
    organisation_id, kind, max_attempts, now, due_at, _ = batch
    original = True if kind is DeliveryKind.ORIGINAL else None
    opened = (DeliveryStatus.PENDING.value, None, max_attempts, due_at, now, None)
    full = (DeliveryStatus.DEAD.value, DeadReason.HELD_FULL.value, max_attempts, None, now, now)
    kind_value = kind.value
    return [
        (id_, organisation_id, match.subscription_id, *event, kind_value, original, *(full if rank is None else opened))
        for (id_, (event, match)), rank in zip(numbered, ranks, strict=True)
    ]


def _full(numbered: list[tuple[str, Wanted]], ranks: list[Rank | None]) -> list[Died]:
    """Those that found no room."""
    return [
        Died(id_, one.match.subscription_id, DeadReason.HELD_FULL.value)
        for (id_, one), rank in zip(numbered, ranks, strict=True)
        if rank is None
    ]


def _queued(batch: Batch, numbered: list[tuple[str, Wanted]], ranks: list[Rank | None]) -> list[Row]:
    return [
        (id_, one.match.subscription_id, int(rank), batch.due_at)
        for (id_, one), rank in zip(numbered, ranks, strict=True)
        if rank is not None
    ]
