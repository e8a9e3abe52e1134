"""Sessions of the dashboard: rows under the SHA-256 of what a cookie holds. A session lives no longer than its key."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, delete, insert, select

from kirimhook.sender.schema import sessions
from kirimhook.sender.store import organisations
from kirimhook.sender.store.organisations import Holder


class Session(NamedTuple):
    """As it is stored; moments in milliseconds since the epoch."""

    digest: bytes
    organisation_id: str
    key_id: str
    created_at: int
    expires_at: int


def add(connection: Connection, session: Session) -> None:
    connection.execute(insert(sessions), session._asdict())


def holder(connection: Connection, digest: bytes, now: int) -> Holder | None:
    """The key that the session was begun with, as it is now, and whose it is; None where there is no session."""
    columns = sessions.c
    wanted = select(columns.organisation_id, columns.key_id).where(columns.digest == digest, columns.expires_at > now)
    row = connection.execute(wanted).one_or_none()
    return None if row is None else organisations.holder_by_id(connection, row.organisation_id, row.key_id)


def remove(connection: Connection, digest: bytes) -> None:
    connection.execute(delete(sessions).where(sessions.c.digest == digest))


def purge(connection: Connection, now: int, limit: int) -> int:
    """Forget at most `limit` that have expired; how many. Passes over what somebody else is forgetting."""
    columns = sessions.c
    expired = select(columns.digest).where(columns.expires_at <= now).order_by(columns.expires_at).limit(limit)
    chosen = expired.with_for_update(skip_locked=True)  # where rows have locks: two at a time wait for each other's
    return connection.execute(delete(sessions).where(columns.digest.in_(chosen))).rowcount
