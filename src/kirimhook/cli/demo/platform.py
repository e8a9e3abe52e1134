"""The demo's view of the sender: its REST API over HTTP, as a customer of it sees it.

It keeps its own account of what it published, and of what it was told.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from kirimhook.cli.demo.traffic import identity
from kirimhook.contract import samples
from kirimhook.contract.errors import parse
from kirimhook.contract.events import META
from kirimhook.contract.headers import EVENT, EVENT_ID, SOURCE
from kirimhook.contract.samples import Sample

IN_FLIGHT = 8


@dataclass(slots=True)
class Published:
    """Identities of the events, and how many publishes named one that was there already."""

    events: set[bytes] = field(default_factory=set)
    repeated: int = 0
    duplicates: int = 0


class Platform:
    """Calls of one organisation. Raises `ApiError` for an answer that is none."""

    def __init__(self, url: str, key: str) -> None:
        self.published = Published()
        self._session = aiohttp.ClientSession(url, headers={"Authorization": f"Bearer {key}"})

    async def close(self) -> None:
        await self._session.close()

    async def subscribe(self, url: str) -> tuple[str, str]:
        """The subscription's id, and its secret, this once."""
        types = sorted({samples.load(name).type for name in samples.names()})
        made = (await self._call("POST", "/v1/webhook_subscriptions", {"url": url, "events": types}))["data"]
        return str(made["id"]), str(made["initial_secret"])

    async def subscription(self, subscription: str) -> dict[str, Any]:
        """As it is now."""
        found: dict[str, Any] = (await self._call("GET", f"/v1/webhook_subscriptions/{subscription}"))["data"]
        return found

    async def enable(self, subscription: str) -> None:
        await self._call("PATCH", f"/v1/webhook_subscriptions/{subscription}", {"status": "active"})

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
        return not (await self.deliveries(1, status="pending") or await self.deliveries(1, status="failed"))

    async def deliveries(self, limit: int, **filters: str) -> list[dict[str, Any]]:
        """The newest ones."""
        listed = await self._call("GET", "/v1/webhook_deliveries", params={"limit": str(limit), **filters})
        found: list[dict[str, Any]] = listed["data"]
        return found

    async def replay_the_dead(self, subscription: str) -> int:
        """In bulk, call after call, until none is left that was not replayed."""
        enqueued = 0
        while True:
            asked = {"subscription_id": subscription, "status": "dead", "unreplayed": True}
            done = (await self._call("POST", "/v1/webhook_deliveries/bulk_replay", asked))["data"]
            enqueued += int(done["enqueued"])
            if not done["capped"]:
                return enqueued

    async def _publish(self, event: Sample) -> None:
        known = identity(event) in self.published.events
        self.published.events.add(identity(event))
        if event.source == META:
            headers = {SOURCE: event.source, EVENT: event.type, EVENT_ID: event.event_id}
            told = await self._call("POST", "/v1/events", event.body, headers)
        else:
            said = {"type": event.type, "id": event.event_id, "data": json.loads(event.body)["data"]}
            told = await self._call("POST", "/v1/events", said)
        self.published.repeated += known
        self.published.duplicates += told["data"]["duplicate"]

    async def _call(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | bytes | None = None,
        headers: dict[str, str] | None = None,
        params: dict[str, str] | None = None,
    ) -> dict[str, Any]:
        sent = json.dumps(body).encode() if isinstance(body, dict) else body
        typed = {"Content-Type": "application/json", **(headers or {})} if sent is not None else headers
        async with self._session.request(method, path, data=sent, headers=typed, params=params) as answer:
            said = await answer.read()
            if answer.status >= 300:
                raise parse(answer.status, said)
            told: dict[str, Any] = json.loads(said)
            return told
