"""One row that was sealed first, to know a wrong master key by."""

from __future__ import annotations

from sqlalchemy import Connection, select, text, update

from kirimhook.sender.schema import seals

_ONLY = 1
_ADD = text("INSERT INTO seals (id, sealed) VALUES (:id, :sealed) ON CONFLICT DO NOTHING")


def get(connection: Connection) -> bytes | None:
    found = connection.scalar(select(seals.c.sealed).where(seals.c.id == _ONLY))
    return None if found is None else bytes(found)


def add(connection: Connection, sealed: bytes) -> bytes:
    """The mark: this one, unless there is one already."""
    connection.execute(_ADD, {"id": _ONLY, "sealed": sealed})
    found = get(connection)
    if found is None:
        raise RuntimeError("a mark was neither stored nor there")
    return found


def replace(connection: Connection, sealed: bytes) -> None:
    connection.execute(update(seals).where(seals.c.id == _ONLY).values(sealed=sealed))
