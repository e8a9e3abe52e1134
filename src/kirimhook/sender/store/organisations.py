"""Organisations, made by name, and their API keys: SHA-256, first 12 and last 4 characters. Contract section 5."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Row, insert, select, text, update

from kirimhook.sender.schema import api_keys, organisations

_ADD = text("INSERT INTO organisations (id, name, created_at) VALUES (:id, :name, :created_at) ON CONFLICT DO NOTHING")


class Organisation(NamedTuple):
    id: str
    name: str
    created_at: int


class Key(NamedTuple):
    """An API key as it is stored, without its digest."""

    id: str
    first: str
    last: str
    created_at: int
    expires_at: int | None
    revoked_at: int | None


class Holder(NamedTuple):
    """A key, and whose it is."""

    key: Key
    organisation: Organisation


_KEY = tuple([api_keys.c[name] for name in Key._fields])
_ORGANISATION = tuple([organisations.c[name] for name in Organisation._fields])


def add(connection: Connection, organisation: Organisation) -> Organisation:
    """The organisation of that name: this one, unless it is there already."""
    connection.execute(_ADD, organisation._asdict())
    found = by_name(connection, organisation.name)
    if found is None:
        raise RuntimeError("an organisation was neither stored nor there")
    return found


def by_name(connection: Connection, name: str) -> Organisation | None:
    row = connection.execute(select(*_ORGANISATION).where(organisations.c.name == name)).one_or_none()
    return None if row is None else Organisation(*row)


def add_key(connection: Connection, organisation_id: str, digest: bytes, key: Key) -> None:
    connection.execute(insert(api_keys), {**key._asdict(), "organisation_id": organisation_id, "digest": digest})


def keys(connection: Connection, organisation_id: str) -> list[Key]:
    """All of them, the newest first."""
    wanted = select(*_KEY).where(api_keys.c.organisation_id == organisation_id).order_by(api_keys.c.id.desc())
    return [Key(*row) for row in connection.execute(wanted)]


def holder(connection: Connection, digest: bytes) -> Holder | None:
    """Whose key has this digest."""
    return _holder(connection, api_keys.c.digest == digest)


def holder_by_id(connection: Connection, organisation_id: str, key_id: str) -> Holder | None:
    return _holder(connection, (api_keys.c.organisation_id == organisation_id) & (api_keys.c.id == key_id))


def _holder(connection: Connection, condition: ColumnElement[bool]) -> Holder | None:
    wanted = select(*_KEY, *_ORGANISATION).join(organisations).where(condition)
    row: Row[Any] | None = connection.execute(wanted).one_or_none()
    return None if row is None else Holder(Key(*row[: len(_KEY)]), Organisation(*row[len(_KEY) :]))


def revoke(connection: Connection, key_id: str, now: int) -> None:
    """From `now` on, unless it was revoked before."""
    connection.execute(
        update(api_keys).where(api_keys.c.id == key_id, api_keys.c.revoked_at.is_(None)).values(revoked_at=now)
    )
