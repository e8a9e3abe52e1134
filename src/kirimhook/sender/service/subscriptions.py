"""Who wants which events, and where. Contract section 5."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from kirimhook.contract import ids
from kirimhook.contract.errors import ApiError
from kirimhook.contract.ids import SubscriptionId
from kirimhook.contract.resources import Subscription, SubscriptionStatus
from kirimhook.contract.signature import Secret
from kirimhook.sender.model import Held, in_force
from kirimhook.sender.service import letters
from kirimhook.sender.service.calls import MAX_LIMIT, Changes, Page
from kirimhook.sender.service.context import Context
from kirimhook.sender.service.cursors import Cursors
from kirimhook.sender.service.moments import moment
from kirimhook.sender.service.scope import Scope
from kirimhook.sender.service.secrets import info, make, not_found
from kirimhook.sender.service.texts import is_storable
from kirimhook.sender.store import locks, secrets, subscriptions
from kirimhook.sender.store.subscriptions import StoredSubscription

MAX_URL_CHARS = 2048
MAX_DESCRIPTION_CHARS = 1000


async def create(scope: Scope, url: str, events: Sequence[str], description: str | None) -> Subscription:
    context = scope.context
    wanted = _checked_events(context, events)
    _check_description(description)
    await _check_url(context, url)
    now = context.now()
    secret = make(context, now)
    status = SubscriptionStatus.ACTIVE.value
    new_id = context.new_id(ids.SUBSCRIPTION, now)
    made = StoredSubscription(new_id, url, description or None, status, None, now, wanted)

    def operation(connection: Connection) -> Subscription:
        locks.alone(connection, scope.organisation_id)
        subscriptions.add(connection, scope.organisation_id, made)
        secrets.add(connection, made.id, secret.stored, secret.sealed)
        return _resource(made, [secret.stored], now, secret.plain)

    return await scope.write(operation)


async def get(scope: Scope, subscription_id: str) -> Subscription:
    now = scope.context.now()
    return await scope.read(lambda connection: _found(connection, scope.organisation_id, subscription_id, now))


async def page(scope: Scope, limit: int, cursor: str | None) -> Page[Subscription]:
    if not 1 <= limit <= MAX_LIMIT:
        raise ApiError("invalid_limit", f"the limit is from 1 to {MAX_LIMIT}", param="limit")
    now = scope.context.now()
    cursors = Cursors(scope.context.sealer.derived("cursors"))
    bound = ("subscriptions", scope.organisation_id)
    before = cursors.read(cursor, *bound)

    def operation(connection: Connection) -> list[Subscription]:
        found = subscriptions.page(connection, scope.organisation_id, before, limit + 1)
        known = secrets.of(connection, [one.id for one in found])
        return [_resource(one, known[one.id], now) for one in found]

    items = await scope.read(operation)
    more = len(items) > limit
    return Page(items[:limit], cursors.make(items[limit - 1].id, *bound) if more else None)


async def update(scope: Scope, subscription_id: str, changes: Changes) -> Subscription:
    context = scope.context
    wanted = None if changes.events is None else _checked_events(context, changes.events)
    _check_description(changes.description)
    if changes.url is not None:
        await _check_url(context, changes.url)
    held = changes.held or Held.DELIVER
    if changes.status is SubscriptionStatus.ACTIVE:
        await letters.before_enabling(scope, _checked_id(subscription_id), held)
    now = context.now()

    def operation(connection: Connection) -> Subscription:
        if wanted is not None or changes.status is not None:
            locks.alone(connection, scope.organisation_id)
        if not subscriptions.lock(connection, scope.organisation_id, _checked_id(subscription_id)):
            raise not_found("subscription")
        subscriptions.describe(connection, subscription_id, changes.url, changes.description)
        if wanted is not None:
            subscriptions.resubscribe(connection, scope.organisation_id, subscription_id, wanted)
        if changes.status is not None:
            letters.set_status(connection, context, subscription_id, changes.status, held)
        return _found(connection, scope.organisation_id, subscription_id, now)

    changed = await scope.write(operation)
    if changes.status is SubscriptionStatus.ACTIVE:
        context.published()
    return changed


def _found(connection: Connection, organisation_id: str, subscription_id: str, now: int) -> Subscription:
    found = subscriptions.get(connection, organisation_id, _checked_id(subscription_id))
    if found is None:
        raise not_found("subscription")
    return _resource(found, secrets.of(connection, [found.id])[found.id], now)


def _resource(
    found: StoredSubscription, known: Sequence[secrets.StoredSecret], now: int, initial: Secret | None = None
) -> Subscription:
    return Subscription(
        SubscriptionId(found.id),
        found.url,
        found.description,
        SubscriptionStatus(found.status),
        found.disabled_reason,
        found.events,
        tuple([info(secret) for secret in in_force(known, now)]),
        moment(found.created_at),
        initial,
    )


def _checked_id(subscription_id: str) -> str:
    if not ids.is_id(ids.SUBSCRIPTION, subscription_id):
        raise not_found("subscription")
    return subscription_id


def _checked_events(context: Context, events: Sequence[str]) -> tuple[str, ...]:
    """Each once, in the order given."""
    if not events:
        raise ApiError("invalid_field_value", "subscribe to at least one event type", param="events")
    if not set(events) <= set(context.settings.catalogue):
        known = ", ".join(context.settings.catalogue)
        raise ApiError("unknown_event_type", f"there is no such event type; there are: {known}", param="events")
    return tuple(dict.fromkeys(events))


def _check_description(description: str | None) -> None:
    if description and (len(description) > MAX_DESCRIPTION_CHARS or not is_storable(description)):
        message = f"a description has at most {MAX_DESCRIPTION_CHARS} characters, and no NUL"
        raise ApiError("invalid_field_value", message, param="description")


async def _check_url(context: Context, url: str) -> None:
    """Raises ApiError `invalid_webhook_url`. Whatever else a URL must be is `check_url`'s."""
    if len(url) > MAX_URL_CHARS or not is_storable(url):
        raise ApiError("invalid_webhook_url", f"a URL has at most {MAX_URL_CHARS} characters", param="url")
    await context.check_url(url)
