"""The signing secrets of a subscription. Contract sections 5 and 7."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection

from kirimhook.contract import ids
from kirimhook.contract.errors import ApiError
from kirimhook.contract.ids import SecretId
from kirimhook.contract.resources import NewSecret, SecretInfo
from kirimhook.contract.signature import Secret
from kirimhook.sender.model import in_force
from kirimhook.sender.service.context import Context
from kirimhook.sender.service.moments import moment, moment_or_none
from kirimhook.sender.service.scope import Scope
from kirimhook.sender.store import secrets, subscriptions
from kirimhook.sender.store.secrets import StoredSecret

PREFIX = "whsec_"
MAX_HOURS = 10 * 366 * 24

_RANDOM_BYTES = 32
_HOUR = 3_600_000


class Made(NamedTuple):
    """A new secret: what is shown once, and what is kept."""

    plain: Secret
    stored: StoredSecret
    sealed: bytes


def make(context: Context, now: int, expires_at: int | None = None) -> Made:
    """`whsec_` and 32 random bytes in url-safe base64."""
    plain = Secret(PREFIX + urlsafe_b64encode(context.randomness(_RANDOM_BYTES)).decode())
    stored = StoredSecret(context.new_id(ids.SECRET, now), now, expires_at)
    return Made(plain, stored, context.sealer.seal(plain.reveal().encode()))


def info(secret: StoredSecret) -> SecretInfo:
    return SecretInfo(*_shown(secret))


async def add(scope: Scope, subscription_id: str, expires_in_hours: float | None) -> NewSecret:
    context = scope.context
    now = context.now()
    plain, stored, sealed = make(context, now, _expiry(expires_in_hours, now))

    def operation(connection: Connection) -> NewSecret:
        known = _locked(connection, scope.organisation_id, subscription_id)
        active = in_force(known, now)
        if len(active) >= context.settings.max_secrets:
            most = context.settings.max_secrets
            raise ApiError("too_many_secrets", f"{most} secrets are active: delete one, or wait until one expires")
        secrets.remove(connection, [secret.id for secret in known if secret not in active])
        secrets.add(connection, subscription_id, stored, sealed)
        return NewSecret(*_shown(stored), secret=plain)

    return await scope.write(operation)


async def remove(scope: Scope, subscription_id: str, secret_id: str) -> None:
    now = scope.context.now()

    def operation(connection: Connection) -> None:
        known = _locked(connection, scope.organisation_id, subscription_id)
        if secret_id not in [secret.id for secret in known]:
            raise not_found("secret")
        if [secret.id for secret in in_force(known, now)] == [secret_id]:
            raise ApiError("last_active_secret", "this is the only active secret: add another one first")
        secrets.remove(connection, [secret_id])

    await scope.write(operation)


def not_found(noun: str) -> ApiError:
    return ApiError("resource_not_found", f"there is no such {noun}")


def _locked(connection: Connection, organisation_id: str, subscription_id: str) -> list[StoredSecret]:
    """The secrets of a subscription that nobody else changes now. Raises ApiError `resource_not_found`."""
    if not ids.is_id(ids.SUBSCRIPTION, subscription_id):
        raise not_found("subscription")
    if not subscriptions.lock(connection, organisation_id, subscription_id):
        raise not_found("subscription")
    return secrets.of(connection, [subscription_id])[subscription_id]


def _shown(secret: StoredSecret) -> tuple[SecretId, datetime, datetime | None]:
    return SecretId(secret.id), moment(secret.created_at), moment_or_none(secret.expires_at)


def _expiry(hours: float | None, now: int) -> int | None:
    if hours is None:
        return None
    if not 0 < hours <= MAX_HOURS:
        message = f"a secret expires in more than 0 and at most {MAX_HOURS} hours"
        raise ApiError("invalid_field_value", message, param="expires_in_hours")
    return now + max(int(hours * _HOUR), 1)
