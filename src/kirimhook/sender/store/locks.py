"""Who may write at one time. On SQLite everybody waits for everybody: there is one writer.

On PostgreSQL a transaction that adds or removes open deliveries holds its organisation's lock shared; one that changes
which subscriptions match, or whether they are active, holds it alone. So no delivery joins a deleted subscription, and
`subscriptions.held` is exact. Taken first of all in a transaction, it waits for nobody who waits for it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

_SHARED = text("SELECT pg_advisory_xact_lock_shared(hashtextextended(:name, 0))")
_ALONE = text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))")
_IF_FREE = text("SELECT pg_try_advisory_xact_lock(hashtextextended(:name, 0))")
_EITHER = """SELECT CASE WHEN alone THEN pg_advisory_xact_lock(hashtextextended(name, 0))
    ELSE pg_advisory_xact_lock_shared(hashtextextended(name, 0)) END
FROM unnest($1::text[], $2::bool[]) AS wanted(name, alone)"""
_PATIENCE = text("SELECT set_config('lock_timeout', :milliseconds, true)")
_NOT_AVAILABLE = "55P03"


def share(connection: Connection, organisation_ids: Iterable[str]) -> None:
    """With all others that share, until the transaction ends. In one order, so that two who take several agree."""
    if connection.dialect.name == "postgresql":
        for organisation_id in sorted(set(organisation_ids)):
            connection.execute(_SHARED, {"name": _organisation(organisation_id)})


def alone(connection: Connection, organisation_id: str) -> None:
    """Without anybody else, until the transaction ends."""
    if connection.dialect.name == "postgresql":
        connection.execute(_ALONE, {"name": _organisation(organisation_id)})


def share_or_alone(connection: Connection, organisation_ids: Iterable[str], exclusive: Collection[str]) -> None:
    """Share with some, and be alone with those `exclusive`; one statement, in the order of `share`."""
    wanted = {*organisation_ids, *exclusive}
    if connection.dialect.name == "postgresql" and wanted:
        names = [_organisation(organisation_id) for organisation_id in sorted(wanted)]
        alone = [organisation_id in exclusive for organisation_id in sorted(wanted)]
        connection.exec_driver_sql(_EITHER, (names, alone))


def if_free(connection: Connection, task: str) -> bool:
    """Whether nobody else does this task at present; then nobody begins it until the transaction ends."""
    if connection.dialect.name == "postgresql":
        return bool(connection.scalar(_IF_FREE, {"name": f"kirimhook task {task}"}))
    return True


def hold_key(connection: Connection, organisation_id: str, key: str, wait: float) -> bool:
    """An Idempotency-Key, until the transaction ends. False after `wait` seconds: then the transaction has failed."""
    if connection.dialect.name == "sqlite":
        return True
    connection.execute(_PATIENCE, {"milliseconds": str(int(wait * 1000))})
    try:
        connection.execute(_ALONE, {"name": f"kirimhook key {organisation_id} {key}"})
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != _NOT_AVAILABLE:
            raise
        return False
    connection.execute(_PATIENCE, {"milliseconds": "0"})
    return True


def _organisation(organisation_id: str) -> str:
    return f"kirimhook org {organisation_id}"
