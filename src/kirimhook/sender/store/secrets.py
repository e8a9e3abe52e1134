"""Signing secrets, sealed. A plaintext is never read here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, delete, insert, select, update

from kirimhook.sender.schema import secrets


class StoredSecret(NamedTuple):
    """A secret as it is listed."""

    id: str
    created_at: int
    expires_at: int | None


class Sealed(NamedTuple):
    id: str
    sealed: bytes


_LISTED = (secrets.c.id, secrets.c.created_at, secrets.c.expires_at)


def add(connection: Connection, subscription_id: str, secret: StoredSecret, sealed: bytes) -> None:
    connection.execute(insert(secrets), {**secret._asdict(), "subscription_id": subscription_id, "sealed": sealed})


def of(connection: Connection, subscription_ids: Sequence[str]) -> dict[str, list[StoredSecret]]:
    """The secrets of each of these subscriptions, oldest first, expired ones too."""
    found: dict[str, list[StoredSecret]] = {subscription_id: [] for subscription_id in subscription_ids}
    wanted = select(secrets.c.subscription_id, *_LISTED).where(secrets.c.subscription_id.in_(subscription_ids))
    for subscription_id, *row in connection.execute(wanted.order_by(secrets.c.id)):
        found[subscription_id].append(StoredSecret(*row))
    return found


def remove(connection: Connection, secret_ids: Sequence[str]) -> None:
    connection.execute(delete(secrets).where(secrets.c.id.in_(secret_ids)))


def sealed_after(connection: Connection, secret_id: str, limit: int) -> list[Sealed]:
    """The next ones in the order of their ids, of whatever subscription; nobody else changes them meanwhile."""
    wanted = select(secrets.c.id, secrets.c.sealed).where(secrets.c.id > secret_id).order_by(secrets.c.id)
    return [Sealed(row.id, bytes(row.sealed)) for row in connection.execute(wanted.limit(limit).with_for_update())]


def reseal(connection: Connection, secret_id: str, sealed: bytes) -> None:
    connection.execute(update(secrets).where(secrets.c.id == secret_id).values(sealed=sealed))
