"""API keys, each of one organisation. Contract section 5."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections import OrderedDict
from datetime import datetime
from hashlib import sha256
from typing import NamedTuple

from sqlalchemy import Connection

from kirimhook.contract.errors import ApiError
from kirimhook.contract.signature import Secret
from kirimhook.sender.service.calls import Caller, KeyInfo, Me, NewKey
from kirimhook.sender.service.context import Context
from kirimhook.sender.service.moments import floor_ms, moment, moment_or_none
from kirimhook.sender.service.scope import Scope
from kirimhook.sender.service.texts import is_storable
from kirimhook.sender.store import organisations
from kirimhook.sender.store.organisations import Holder, Key, Organisation

PREFIX = "kdv_live_"
ORGANISATION = "org_"
KEY = "key_"
MAX_NAME_CHARS = 200
REMEMBERED = 2000
"""Milliseconds that a key found is taken for as it was: so soon a revocation elsewhere is seen."""
MAX_REMEMBERED = 10_000

_RANDOM_BYTES = 18  # 24 characters, 144 bits: a slow hash would protect nothing
_SHOWN_FIRST, _SHOWN_LAST = 12, 4
_MAX_CHARS = 256


class _Seen(NamedTuple):
    holder: Holder
    at: int


class Keys:
    """Makes, lists, revokes and recognises keys. What it remembers is bounded in number and time."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._seen: OrderedDict[bytes, _Seen] = OrderedDict()

    async def organisation(self, name: str) -> str:
        """The id of the organisation of this name. Raises ApiError `resource_not_found`."""
        return (await self._context.database.read(lambda connection: _known(connection, name))).id

    async def create(self, name: str, expires_at: datetime | None) -> NewKey:
        """Raises ApiError `invalid_field_value`."""
        _check_name(name)
        now = self._context.now()
        plain = PREFIX + urlsafe_b64encode(self._context.randomness(_RANDOM_BYTES)).decode()
        given = Organisation(self._context.new_id(ORGANISATION, now), name, now)
        ends = _expiry(expires_at, now)
        key = Key(self._context.new_id(KEY, now), plain[:_SHOWN_FIRST], plain[-_SHOWN_LAST:], now, ends, None)

        def operation(connection: Connection) -> Organisation:
            organisation = organisations.add(connection, given)
            organisations.add_key(connection, organisation.id, _digest(plain), key)
            return organisation

        organisation = await self._context.database.write(operation)
        return NewKey(key.id, organisation.id, Secret(plain), moment(now), moment_or_none(ends))

    async def list(self, name: str) -> list[KeyInfo]:
        def operation(connection: Connection) -> list[Key]:
            return organisations.keys(connection, _known(connection, name).id)

        return [info(key) for key in await self._context.database.read(operation)]

    async def revoke(self, name: str, key_id: str) -> KeyInfo:
        now = self._context.now()

        def operation(connection: Connection) -> Key:
            organisation = _known(connection, name)
            organisations.revoke(connection, _held_by(connection, organisation.id, key_id).key.id, now)
            return _held_by(connection, organisation.id, key_id).key

        revoked = await self._context.database.write(operation)
        self._seen.clear()
        return info(revoked)

    async def authenticate(self, key: str) -> Caller:
        """Raises ApiError `invalid_api_key`, `revoked_api_key`, `expired_api_key`."""
        if len(key) > _MAX_CHARS or not key.startswith(PREFIX) or not key.isascii():
            raise ApiError("invalid_api_key", "there is no such API key")
        now = self._context.now()
        found, organisation = await self._holder(_digest(key), now)
        if found.revoked_at is not None:
            raise ApiError("revoked_api_key", "this API key was revoked")
        if found.expires_at is not None and found.expires_at <= now:
            raise ApiError("expired_api_key", "this API key has expired")
        return Caller(organisation.id, organisation.name, found.id)

    async def _holder(self, digest: bytes, now: int) -> Holder:
        seen = self._seen.get(digest)
        if seen is not None and 0 <= now - seen.at < REMEMBERED:
            return seen.holder
        found = await self._context.database.read(lambda connection: organisations.holder(connection, digest))
        if found is None:
            self._seen.pop(digest, None)
            raise ApiError("invalid_api_key", "there is no such API key")
        self._seen[digest] = _Seen(found, now)
        while len(self._seen) > MAX_REMEMBERED:
            self._seen.popitem(last=False)
        return found


async def me(scope: Scope, key_id: str) -> Me:
    """Raises ApiError `resource_not_found` for another organisation's key."""
    key, organisation = await scope.read(lambda connection: _held_by(connection, scope.organisation_id, key_id))
    return Me(organisation.id, organisation.name, moment(organisation.created_at), info(key))


def info(key: Key) -> KeyInfo:
    expires, revoked = moment_or_none(key.expires_at), moment_or_none(key.revoked_at)
    return KeyInfo(key.id, key.first, key.last, moment(key.created_at), expires, revoked)


def _digest(key: str) -> bytes:
    return sha256(key.encode()).digest()


def _check_name(name: str) -> None:
    if not 0 < len(name) <= MAX_NAME_CHARS or not name.isprintable() or name != name.strip() or not is_storable(name):
        message = f"an organisation's name is 1 to {MAX_NAME_CHARS} printable characters"
        raise ApiError("invalid_field_value", message, param="name")


def _expiry(expires_at: datetime | None, now: int) -> int | None:
    if expires_at is None:
        return None
    if expires_at.tzinfo is None:
        raise ApiError("invalid_field_value", "a moment needs its offset from UTC", param="expires_at")
    ends = floor_ms(expires_at)
    if ends <= now:
        raise ApiError("invalid_field_value", "a key expires in the future", param="expires_at")
    return ends


def _known(connection: Connection, name: str) -> Organisation:
    organisation = organisations.by_name(connection, name) if is_storable(name) else None
    if organisation is None:
        raise ApiError("resource_not_found", "there is no organisation of this name")
    return organisation


def _held_by(connection: Connection, organisation_id: str, key_id: str) -> Holder:
    found = organisations.holder_by_id(connection, organisation_id, key_id) if is_storable(key_id) else None
    if found is None:
        raise ApiError("resource_not_found", "there is no such API key")
    return found
