"""The demo's sender: posts signed deliveries over verified HTTPS, and resends what was not acknowledged.

It keeps its own account, by the sender's view alone: what it sent, and what it was answered.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import aiohttp

from kirimhook.contract.events import dedupe_key
from kirimhook.contract.headers import build
from kirimhook.contract.samples import Sample
from kirimhook.contract.signature import Secret, sign

IN_FLIGHT = 32
RESEND_AFTER = 0.2
"""Seconds. The real sender waits 10 and more; a demo is in a hurry."""


@dataclass(frozen=True, slots=True)
class Delivery:
    sample: Sample
    delivery_id: str
    forged: bool = False

    @property
    def identity(self) -> bytes:
        sample = self.sample
        return dedupe_key(sample.source, sample.event_id, sample.type, sample.body)


@dataclass(slots=True)
class Account:
    """Posts counted by what came back, and every event that was acknowledged."""

    posts: int = 0
    acked: set[bytes] = field(default_factory=set)
    duplicates: int = 0
    refused_forgeries: int = 0
    resent: int = 0
    unexpected: Counter[str] = field(default_factory=Counter)


class Provider:
    """Sends to one URL. Use as a context; every delivery is repeated until it is answered for good."""

    def __init__(self, url: str, secret: Secret, trust: ssl.SSLContext) -> None:
        self.account = Account()
        self._url = url
        self._secret = secret
        self._forger = Secret("whsec_this_secret_was_never_the_receivers")
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=trust, limit=IN_FLIGHT),
            timeout=aiohttp.ClientTimeout(total=10),
        )
        self._room = asyncio.Semaphore(IN_FLIGHT)

    async def close(self) -> None:
        await self._session.close()

    async def send(self, deliveries: Iterable[Delivery], progress: Callable[[], None]) -> None:
        """All of them, until each has its answer. Calls `progress` after every answer."""
        async with asyncio.TaskGroup() as tasks:
            for delivery in deliveries:
                await self._room.acquire()
                tasks.create_task(self._until_answered(delivery, progress))

    async def _until_answered(self, delivery: Delivery, progress: Callable[[], None]) -> None:
        try:
            attempt = 1
            while not await self._attempt(delivery, attempt):
                attempt += 1
                self.account.resent += 1
                await asyncio.sleep(RESEND_AFTER)
            progress()
        finally:
            self._room.release()

    async def _attempt(self, delivery: Delivery, attempt: int) -> bool:
        """Whether the answer is final: a 2xx, or the refusal of a forgery."""
        sample = delivery.sample
        secret = self._forger if delivery.forged else self._secret
        headers = build(
            event_type=sample.type,
            event_id=sample.event_id,
            source=sample.source,
            delivery_id=delivery.delivery_id,
            attempt=min(attempt, 8),
            signature=sign([secret], sample.body, int(time.time())),
        )
        self.account.posts += 1
        try:
            async with self._session.post(self._url, data=sample.body, headers=headers) as reply:
                return self._note(delivery, reply.status, await reply.text())
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False

    def _note(self, delivery: Delivery, status: int, text: str) -> bool:
        account = self.account
        if delivery.forged:
            account.refused_forgeries += status == 401
            if status == 200:
                account.unexpected["forgery accepted"] += 1
            return status in {200, 401}
        if status == 200:
            account.duplicates += text == "duplicate-ack"
            account.acked.add(delivery.identity)
            return True
        if status != 503:
            account.unexpected[f"{status} {text}"] += 1
        return status < 500
