"""What the engine has to know of a subscription to deliver to it, and whether that has changed."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection

from kirimhook.sender.store.batches import both, fetch, plan_by_index

_LOAD = both("""SELECT id, version, url, status = 'active' AND deleted_at IS NULL
FROM subscriptions WHERE id IN $1""")
_SECRETS = both("""SELECT subscription_id, id, sealed, expires_at FROM secrets
WHERE subscription_id IN $1 ORDER BY id""")
_VERSIONS = both("""SELECT id, version, status = 'active' AND deleted_at IS NULL
FROM subscriptions WHERE id IN $1""")


class SealedSecret(NamedTuple):
    id: str
    sealed: bytes
    expires_at: int | None


class EndpointRow(NamedTuple):
    """`is_active`: neither disabled nor deleted."""

    id: str
    version: int
    url: str
    is_active: bool
    secrets: tuple[SealedSecret, ...]


class Version(NamedTuple):
    version: int
    is_active: bool


def load(connection: Connection, ids: list[str]) -> list[EndpointRow]:
    """Those that exist. A deleted subscription counts as inactive."""
    plan_by_index(connection)
    secrets: dict[str, list[SealedSecret]] = {}
    for subscription_id, *row in fetch(connection, _SECRETS, ids):
        secrets.setdefault(subscription_id, []).append(SealedSecret(*row))
    rows = fetch(connection, _LOAD, ids)
    return [
        EndpointRow(id_, version, url, bool(is_active), tuple(secrets.get(id_, ())))
        for id_, version, url, is_active in rows
    ]


def versions(connection: Connection, ids: list[str]) -> dict[str, Version]:
    plan_by_index(connection)
    return {id_: Version(version, bool(active)) for id_, version, active in fetch(connection, _VERSIONS, ids)}
