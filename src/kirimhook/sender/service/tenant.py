"""One organisation: all that it sees, and all that it can do. What is another's is not found."""

from __future__ import annotations

from collections.abc import Sequence

from kirimhook.contract.resources import (
    BulkReplay,
    Delivery,
    EventReceipt,
    NewSecret,
    ReplayReceipt,
    Subscription,
)
from kirimhook.sender.service import keys, letters, publishing, secrets, subscriptions, trial
from kirimhook.sender.service.calls import (
    DEFAULT_LIMIT,
    BulkReplayRequest,
    Changes,
    DeliveryFilter,
    Me,
    Page,
    Publishable,
)
from kirimhook.sender.service.scope import Scope


class Tenant:
    """Every method raises ApiError for what the caller did wrong and `StorageUnavailable`; writes also
    `AlreadyAnswered`."""

    __slots__ = ("_scope",)

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def me(self, key_id: str) -> Me:
        return await keys.me(self._scope, key_id)

    async def create_subscription(
        self, url: str, events: Sequence[str], description: str | None = None
    ) -> Subscription:
        """With `initial_secret`, this once. Raises `invalid_webhook_url`, `unknown_event_type`, …"""
        return await subscriptions.create(self._scope, url, events, description)

    async def subscription(self, subscription_id: str) -> Subscription:
        return await subscriptions.get(self._scope, subscription_id)

    async def subscriptions(self, limit: int = DEFAULT_LIMIT, cursor: str | None = None) -> Page[Subscription]:
        """Newest first. Raises `invalid_limit`, `invalid_cursor`."""
        return await subscriptions.page(self._scope, limit, cursor)

    async def update_subscription(self, subscription_id: str, changes: Changes) -> Subscription:
        """Raises as `create_subscription`."""
        return await subscriptions.update(self._scope, subscription_id, changes)

    async def delete_subscription(self, subscription_id: str) -> None:
        """Nothing matches it any more; its open deliveries become dead letters."""
        await letters.delete_subscription(self._scope, subscription_id)

    async def add_secret(self, subscription_id: str, expires_in_hours: float | None = None) -> NewSecret:
        """In plain, this once. Raises `too_many_secrets`."""
        return await secrets.add(self._scope, subscription_id, expires_in_hours)

    async def remove_secret(self, subscription_id: str, secret_id: str) -> None:
        """Raises `last_active_secret`."""
        await secrets.remove(self._scope, subscription_id, secret_id)

    async def test(self, subscription_id: str, event_type: str | None = None) -> Delivery:
        """A sample on its way to this one subscription, whatever it is subscribed to; `livemode` is false."""
        return await trial.send(self._scope, subscription_id, event_type)

    async def publish(self, events: Sequence[Publishable]) -> list[EventReceipt]:
        """As `Sender.publish`."""
        return await publishing.publish(self._scope, events)

    async def deliveries(
        self, where: DeliveryFilter, limit: int = DEFAULT_LIMIT, cursor: str | None = None
    ) -> Page[Delivery]:
        """Newest first. Raises `invalid_limit`, `invalid_cursor`."""
        return await letters.page(self._scope, where, limit, cursor)

    async def delivery(self, delivery_id: str) -> Delivery:
        """With its attempts."""
        return await letters.get(self._scope, delivery_id)

    async def replay(self, delivery_id: str) -> ReplayReceipt:
        """A fresh delivery of the same event. Raises `subscription_deleted`."""
        return await letters.replay(self._scope, delivery_id)

    async def bulk_replay(self, request: BulkReplayRequest) -> BulkReplay:
        """At most 1000, the oldest first, behind live traffic. Raises `subscription_deleted`."""
        return await letters.bulk_replay(self._scope, request)
