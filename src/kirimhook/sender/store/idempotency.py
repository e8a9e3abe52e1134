"""Answers that were given under an Idempotency-Key, sealed: an answer can hold a secret. Contract section 5."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, delete, insert, select, tuple_, update

from kirimhook.contract.errors import ApiError
from kirimhook.sender.schema import idempotency
from kirimhook.sender.store import locks

WAIT = 5.0
"""Seconds that a call waits for another one with its key."""

_columns = idempotency.c


class Answer(NamedTuple):
    status: int
    sealed: bytes


def claim(connection: Connection, organisation_id: str, key: str, fingerprint: bytes, oldest: int) -> Answer | None:
    """Hold the key to the end of this transaction; the answer it had since `oldest` (ms), or None: it is new.

    Raises ApiError `idempotency_in_progress` after 5 s, `idempotency_key_reuse` for another fingerprint.
    """
    if not locks.hold_key(connection, organisation_id, key, WAIT):
        raise ApiError("idempotency_in_progress", "a call with this Idempotency-Key is still under way")
    found = connection.execute(
        select(_columns.fingerprint, _columns.status, _columns.sealed, _columns.created_at).where(
            _columns.organisation_id == organisation_id, _columns.key == key
        )
    ).one_or_none()
    if found is None:
        return None
    if found.created_at <= oldest:
        _forget(connection, organisation_id, key)
        return None
    if bytes(found.fingerprint) != fingerprint:
        raise ApiError("idempotency_key_reuse", "this Idempotency-Key was used for another call")
    return Answer(found.status, bytes(found.sealed))


def _forget(connection: Connection, organisation_id: str, key: str) -> None:
    connection.execute(delete(idempotency).where(_columns.organisation_id == organisation_id, _columns.key == key))


def record(
    connection: Connection, organisation_id: str, key: str, fingerprint: bytes, answer: Answer, now: int
) -> None:
    """Write the answer down under a key that `claim` holds."""
    connection.execute(
        insert(idempotency),
        {
            "organisation_id": organisation_id,
            "key": key,
            "fingerprint": fingerprint,
            "status": answer.status,
            "sealed": answer.sealed,
            "created_at": now,
        },
    )


def purge(connection: Connection, oldest: int, limit: int) -> int:
    """Forget at most `limit` answers given until `oldest` (ms); how many."""
    old = (
        select(_columns.organisation_id, _columns.key)
        .where(_columns.created_at <= oldest)
        .order_by(_columns.created_at)
        .limit(limit)
    )
    keys = connection.execute(old).all()
    for organisation_id, key in keys:
        _forget(connection, organisation_id, key)
    return len(keys)


class Sealed(NamedTuple):
    organisation_id: str
    key: str
    sealed: bytes


def sealed_after(connection: Connection, place: tuple[str, ...], limit: int) -> list[Sealed]:
    """The next answers in the order of organisation and key; nobody else changes them meanwhile."""
    order = (_columns.organisation_id, _columns.key)
    wanted = select(*order, _columns.sealed).where(tuple_(*order) > place).order_by(*order)
    rows = connection.execute(wanted.limit(limit).with_for_update())
    return [Sealed(row.organisation_id, row.key, bytes(row.sealed)) for row in rows]


def reseal(connection: Connection, answer: Sealed, sealed: bytes) -> None:
    this = (_columns.organisation_id == answer.organisation_id, _columns.key == answer.key)
    connection.execute(update(idempotency).where(*this).values(sealed=sealed))
