"""Attempts that ended, written down in one batch, and only under leases that still hold. Contract section 4.

All of a batch is one transaction: the queue, the deliveries, the attempts, the count of failed deliveries in a
row, and what the operator is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from kirimhook.contract.resources import DeliveryStatus
from kirimhook.sender.model import DeadReason, DisabledReason
from kirimhook.sender.store import holding, locks, notices, queue
from kirimhook.sender.store.batches import (
    Column,
    Text,
    both,
    fetch,
    inserting,
    is_sqlite,
    plan_by_index,
    run,
    run_batch,
    updating,
)
from kirimhook.sender.store.notices import Died
from kirimhook.telling import Kind, Notice

_DELETE = both("DELETE FROM queue WHERE delivery_id IN $1")
_REQUEUE = updating(
    "queue",
    [Column("due_at", "bigint"), Column("token"), Column("attempts", "smallint")],
    Column("delivery_id"),
)
_DELIVERIES = updating(
    "deliveries",
    [
        Column("status"),
        Column("dead_reason"),
        Column("attempt_count", "smallint"),
        Column("next_attempt_at", "bigint"),
        Column("last_attempt_at", "bigint"),
        Column("response_status", "smallint"),
        Column("last_error"),
        Column("finished_at", "bigint"),
    ],
    Column("id"),
)
_ATTEMPTS = inserting("attempts", Column("delivery_id"), Column("number", "smallint"), Column("record"))
_RESET = both("UPDATE subscriptions SET failures = 0 WHERE id IN $1 AND failures > 0")
_COUNTS = both("""SELECT id, failures, status = 'active' AND deleted_at IS NULL
FROM subscriptions WHERE id IN $1""")
_COUNTS = Text(_COUNTS.sqlite, _COUNTS.postgresql + " ORDER BY id FOR UPDATE")
_FAILURES = updating("subscriptions", [Column("failures", "int")], Column("id"))
_HELD = both("SELECT held, version FROM subscriptions WHERE id = $1")
_DISABLED = both("SELECT id FROM subscriptions WHERE id IN $1 AND status = 'disabled' AND deleted_at IS NULL")


class Ended(NamedTuple):
    """An attempt, and what becomes of its delivery. Times are milliseconds since the epoch."""

    delivery_id: str
    token: str
    subscription_id: str
    organisation_id: str
    counts: bool
    """Whether it counts among failed deliveries in a row: a test does not."""
    number: int
    status: DeliveryStatus
    dead_reason: str | None
    due_at: int | None
    """When the next attempt is due, where there is one."""
    started_at: int
    ended_at: int
    response_status: int | None
    error: str | None
    record: str
    """`contract.resources.Attempt` as JSON."""

    @property
    def lease(self) -> queue.Lease:
        return self.delivery_id, self.token


class Disabled(NamedTuple):
    subscription_id: str
    reason: DisabledReason
    held: int


class Returned(NamedTuple):
    """A delivery that is given back without an attempt, due again at `due_at`."""

    delivery_id: str
    token: str
    due_at: int

    @property
    def lease(self) -> queue.Lease:
        return self.delivery_id, self.token


class Settled(NamedTuple):
    held: set[queue.Lease]
    """The leases that held. Of the others nothing was written."""
    disabled: tuple[Disabled, ...]


class NeedsLock(Exception):
    """A subscription has to be disabled: settle again with the locks of these organisations, alone."""

    def __init__(self, organisation_ids: frozenset[str]) -> None:
        super().__init__("a subscription has to be disabled")
        self.organisation_ids = organisation_ids


class Rules(NamedTuple):
    disable_after: int
    """Failed deliveries in a row."""
    notify: bool
    """Whether anybody is to be told."""


class Batch(NamedTuple):
    """Attempts that ended, in this order; what is given back; and whose locks to take alone."""

    ended: Sequence[Ended]
    returned: Sequence[Returned]
    alone: frozenset[str] = frozenset()


def settle(connection: Connection, batch: Batch, rules: Rules) -> Settled:
    """Write a batch. Raises `NeedsLock`, and then nothing is written."""
    plan_by_index(connection)
    ended, returned, alone = batch
    locks.share_or_alone(connection, {one.organisation_id for one in ended if one.due_at is None}, alone)
    held = queue.fenced(connection, [one.lease for one in ended] + [one.lease for one in returned])
    queue.give_back(connection, {one.delivery_id: one.due_at for one in returned if one.lease in held})
    mine = [one for one in ended if one.lease in held]
    disabled: tuple[Disabled, ...] = ()
    if mine:
        _write(connection, mine, rules)
        disabled = _count(connection, mine, alone, rules)
    return Settled(held, disabled)


def _write(connection: Connection, ended: Sequence[Ended], rules: Rules) -> None:
    final = [one.delivery_id for one in ended if one.due_at is None]
    if final:
        run(connection, _DELETE, final)
    requeued = [(one.due_at, None, one.number, one.delivery_id) for one in ended if one.due_at is not None]
    run_batch(connection, _REQUEUE, requeued)
    run_batch(connection, _DELIVERIES, [_delivery(one) for one in ended])
    run_batch(connection, _ATTEMPTS, [(one.delivery_id, one.number, one.record) for one in ended])
    if rules.notify:
        _tell(connection, [one for one in ended if one.dead_reason is not None])


def _tell(connection: Connection, died: Sequence[Ended]) -> None:
    if died:
        told = [Died(one.delivery_id, one.subscription_id, one.dead_reason or "", one.error) for one in died]
        notices.add_dead(connection, told, max(one.ended_at for one in died))


def _delivery(one: Ended) -> tuple[object, ...]:
    return (
        one.status,
        one.dead_reason,
        one.number,
        one.due_at,
        one.started_at,
        one.response_status,
        one.error,
        one.ended_at if one.due_at is None else None,
        one.delivery_id,
    )


def _count(connection: Connection, ended: Sequence[Ended], alone: frozenset[str], rules: Rules) -> tuple[Disabled, ...]:
    """Failed deliveries in a row. A subscription is locked only when one of its deliveries died."""
    finals: dict[str, list[Ended]] = {}
    for one in ended:
        if one.due_at is None:
            finals.setdefault(one.subscription_id, []).append(one)
    if not finals:
        return ()
    died = sorted(id_ for id_, ones in finals.items() if any(one.dead_reason for one in ones))
    run(connection, _RESET, sorted(id_ for id_ in finals if id_ not in died and any(one.counts for one in finals[id_])))
    _unhold(connection, {id_: len(ones) for id_, ones in finals.items()})
    return _disable(connection, {id_: finals[id_] for id_ in died}, alone, rules) if died else ()


def _disable(
    connection: Connection, died: Mapping[str, Sequence[Ended]], alone: frozenset[str], rules: Rules
) -> tuple[Disabled, ...]:
    """Once, whoever sees it: the status is read under the row's lock."""
    counts = []
    due: dict[str, DisabledReason] = {}
    for id_, failures, is_active in fetch(connection, _COUNTS, sorted(died)):
        now, most = fold(failures, died[id_])
        if now != failures:
            counts.append((now, id_))
        if is_active and any(one.dead_reason == DeadReason.GONE for one in died[id_]):
            due[id_] = DisabledReason.GONE
        elif is_active and most >= rules.disable_after:
            due[id_] = DisabledReason.CONSECUTIVE_FAILURES
    needed = frozenset(died[id_][0].organisation_id for id_ in due)
    if needed - alone and not is_sqlite(connection):
        raise NeedsLock(needed | alone)
    run_batch(connection, _FAILURES, counts)
    return tuple([_hold(connection, id_, reason, died[id_][-1].ended_at, rules) for id_, reason in due.items()])


def _hold(connection: Connection, id_: str, reason: DisabledReason, at: int, rules: Rules) -> Disabled:
    holding.disable(connection, id_, reason)
    held, version = fetch(connection, _HELD, id_)[0]
    disabled = Disabled(id_, reason, held)
    if rules.notify:
        detail = f"deliveries held: {held}"
        notice = Notice(Kind.SUBSCRIPTION_DISABLED, reason.value, at, at, id_, detail=detail)
        notices.add(connection, [(f"subscription_disabled:{id_}:{version}", notice)])
    return disabled


def fold(failures: int, ended: Iterable[Ended]) -> tuple[int, int]:
    """How many failed in a row at the end, and the most at any moment, after so many before."""
    most = failures
    for one in ended:
        if one.counts:
            failures = failures + 1 if one.dead_reason else 0
            most = max(most, failures)
    return failures, most


def _unhold(connection: Connection, gone: Mapping[str, int]) -> None:
    """What leaves the queue of a disabled subscription makes room for what is published."""
    disabled = fetch(connection, _DISABLED, sorted(gone))
    holding.release(connection, {id_: gone[id_] for (id_,) in disabled})
