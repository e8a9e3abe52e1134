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
from kirimhook.sender.service import (
    health,
    keys,
    letters,
    looking,
    overview,
    publishing,
    replay_runs,
    secrets,
    subscriptions,
    trial,
)
from kirimhook.sender.service.calls import (
    DEFAULT_LIMIT,
    BulkReplayRequest,
    Changes,
    DeliveryFilter,
    Me,
    Page,
    Publishable,
)
from kirimhook.sender.service.looking import WHOLE, Looked, Siblings, StoredEvent
from kirimhook.sender.service.overview import Overview
from kirimhook.sender.service.replay_runs import ReplayRun
from kirimhook.sender.service.scope import Scope
from kirimhook.sender.store.replays import Count


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

    async def health(self, subscription_ids: Sequence[str], *, with_times: bool = False) -> dict[str, health.Health]:
        """How each of them fares, by id; without those that are not there. Counts are bounded."""
        return await health.of(self._scope, subscription_ids, with_times=with_times)

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

    async def look(self, delivery_id: str) -> Looked:
        """With its attempts, whom it goes to and where it stands in the queue."""
        return await looking.look(self._scope, delivery_id)

    async def event_of(self, delivery_id: str, most: int = WHOLE) -> StoredEvent:
        """With the first `most` bytes of its body."""
        return await looking.event_of(self._scope, delivery_id, most)

    async def siblings(self, delivery_id: str) -> Siblings:
        """The deliveries of its event, itself included, newest first."""
        return await looking.siblings(self._scope, delivery_id)

    async def replay(self, delivery_id: str) -> ReplayReceipt:
        """A fresh delivery of the same event. Raises `subscription_deleted`."""
        return await letters.replay(self._scope, delivery_id)

    async def bulk_replay(self, request: BulkReplayRequest) -> BulkReplay:
        """At most 1000, the oldest first, behind live traffic. Raises `subscription_deleted`."""
        return await letters.bulk_replay(self._scope, request)

    async def overview(self, window_minutes: int = 60, subscription_id: str | None = None) -> Overview:
        """What came of attempts by the minute, and what waits: for people to look at, the account is the ledger.

        Of all subscriptions, or one. Raises ValueError for a window outside 1 to 2880 minutes.
        """
        return await overview.overview(self._scope, window_minutes, subscription_id)

    async def count_matching(self, where: DeliveryFilter, most: int) -> Count:
        """How many a run would take, looking at no more than `most`. Raises as `start_replay_run`."""
        return await replay_runs.count(self._scope, where, most)

    def new_replay_run_id(self) -> str:
        """For `start_replay_run`: the same id twice begins one run."""
        return replay_runs.new_id(self._scope)

    async def start_replay_run(self, where: DeliveryFilter, run_id: str | None = None) -> ReplayRun:
        """Replay all that match, behind live traffic: `Sender.replaying.begin` moves it, or `Sender.keep`.

        Raises `invalid_field_value` unless the status is dead or failed, or with an event id; `subscription_deleted`.
        """
        return await replay_runs.start(self._scope, where, run_id or self.new_replay_run_id())

    async def replay_run(self, run_id: str) -> ReplayRun:
        """How far it has come, and what became of what it made."""
        return await replay_runs.get(self._scope, run_id)

    async def replay_runs(self, limit: int = DEFAULT_LIMIT, cursor: str | None = None) -> Page[ReplayRun]:
        """Newest first. Raises `invalid_limit`, `invalid_cursor`."""
        return await replay_runs.page(self._scope, limit, cursor)

    async def stop_replay_run(self, run_id: str) -> ReplayRun:
        """It makes no more; what it made stays."""
        return await replay_runs.stop(self._scope, run_id)
