"""The demo's view of the sender: its REST API over HTTP, as a customer of it sees it.

It keeps its own account of what it published, and of what it was told.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from kirimhook.cli.demo.traffic import identity
from kirimhook.client import AsyncKirim
from kirimhook.contract import samples
from kirimhook.contract.events import META
from kirimhook.contract.resources import Delivery, DeliveryStatus, EventReceipt, Subscription
from kirimhook.contract.samples import Sample

IN_FLIGHT = 8


@dataclass(slots=True)
class Published:
    """Identities of the events, and how many publishes named one that was there already."""

    events: set[bytes] = field(default_factory=set)
    repeated: int = 0
    duplicates: int = 0


class Platform:
    """Calls of one organisation. Raises what the client raises."""

    def __init__(self, url: str, key: str) -> None:
        self.published = Published()
        self._kirim = AsyncKirim(key, base_url=url)

    async def close(self) -> None:
        await self._kirim.aclose()

    async def subscribe(self, url: str) -> tuple[str, str]:
        """The subscription's id, and its secret, this once."""
        types = sorted({samples.load(name).type for name in samples.names()})
        made = await self._kirim.webhook_subscriptions.create(url=url, events=types)
        return made.id, made.initial_secret.reveal() if made.initial_secret else ""

    async def subscription(self, subscription: str) -> Subscription:
        """As it is now."""
        return await self._kirim.webhook_subscriptions.get(subscription)

    async def enable(self, subscription: str) -> None:
        await self._kirim.webhook_subscriptions.update(subscription, status="active")

    async def publish(self, events: Iterable[Sample], progress: Callable[[], None]) -> None:
        """All of them, a few at a time. Calls `progress` after each."""
        room = asyncio.Semaphore(IN_FLIGHT)
        async with asyncio.TaskGroup() as tasks:
            for event in events:
                await room.acquire()
                task = tasks.create_task(self._publish(event))
                task.add_done_callback(lambda _: room.release())
                task.add_done_callback(lambda _: progress())

    async def all_delivered(self) -> bool:
        """Whether no delivery is open."""
        open_ones = (DeliveryStatus.PENDING, DeliveryStatus.FAILED)
        return not any([await self.deliveries(1, status) for status in open_ones])

    async def deliveries(self, limit: int, status: DeliveryStatus | None = None) -> tuple[Delivery, ...]:
        """The newest ones."""
        async for page in self._kirim.webhook_deliveries.list(status=status, limit=limit).pages():
            return page.items
        return ()

    async def replay_the_dead(self, subscription: str) -> int:
        """In bulk, call after call, until none is left that was not replayed."""
        enqueued = 0
        while True:
            done = await self._kirim.webhook_deliveries.bulk_replay(subscription_id=subscription, unreplayed=True)
            enqueued += done.enqueued
            if not done.capped:
                return enqueued

    async def _publish(self, event: Sample) -> None:
        known = identity(event) in self.published.events
        self.published.events.add(identity(event))
        told = await self._told(event)
        self.published.repeated += known
        self.published.duplicates += told.duplicate

    async def _told(self, event: Sample) -> EventReceipt:
        if event.source == META:
            return await self._kirim.events.publish_raw(
                event.body, source=event.source, type=event.type, event_id=event.event_id
            )
        data = json.loads(event.body)["data"]
        return await self._kirim.events.publish(type=event.type, data=data, id=event.event_id)
