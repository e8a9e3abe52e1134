"""Posting signed samples, and judging what comes back."""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Self

import aiohttp

from kirimhook.contract import ids
from kirimhook.contract.events import META
from kirimhook.contract.samples import Sample
from kirimhook.contract.signature import Secret
from kirimhook.testing.requests import signed_request

ATTEMPT_SECONDS = 10.0
"""What the provider gives one attempt. Contract section 4."""
SHOWN = 200
"""Characters of an answer's body."""


@dataclass(frozen=True, slots=True)
class Shots:
    """What to post."""

    url: str
    secrets: tuple[Secret, ...]
    trust: ssl.SSLContext | None
    duplicate: bool
    """Each event twice, the second time when the first was answered."""
    forged: bool
    """Signed with a secret that nobody has."""
    rate: float | None
    """Events begun a second; None: as fast as they are answered."""
    connections: int


@dataclass(frozen=True, slots=True)
class Answered:
    """One post. `status` is None when no answer came, and `text` says why."""

    event_type: str
    event_id: str
    attempt: int
    status: int | None
    text: str
    seconds: float
    expected: bool


class Poster:
    """Posts events; a context. Never follows a redirect, as the provider does not."""

    def __init__(self, shots: Shots, tell: Callable[[Answered], None]) -> None:
        """Calls `tell` with every answer."""
        self._shots = shots
        self._tell = tell
        self._forger = Secret(f"whsec_{os.urandom(24).hex()}")
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=shots.connections, ssl=shots.trust or True),
            timeout=aiohttp.ClientTimeout(total=ATTEMPT_SECONDS),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def post_all(self, samples: Iterable[Sample]) -> None:
        """Each of them, at the wanted rate, over a bounded number of connections."""
        room = asyncio.Semaphore(self._shots.connections)
        began = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as tasks:
            for serial, sample in enumerate(samples):
                if self._shots.rate is not None:
                    await asyncio.sleep(began + serial / self._shots.rate - asyncio.get_running_loop().time())
                await room.acquire()
                tasks.create_task(self._event(sample, room))

    async def _event(self, sample: Sample, room: asyncio.Semaphore) -> None:
        try:
            delivery = ids.make(ids.DELIVERY, int(time.time() * 1000), os.urandom(ids.RANDOM_BYTES))
            for attempt in (1, 2) if self._shots.duplicate else (1,):
                self._tell(await self._post(sample, delivery, attempt))
        finally:
            room.release()

    async def _post(self, sample: Sample, delivery: str, attempt: int) -> Answered:
        secrets = (self._forger,) if self._shots.forged else self._shots.secrets
        request = signed_request(sample, *secrets, attempt=attempt, delivery_id=delivery)
        began = time.perf_counter()
        status, text = None, ""
        try:
            async with self._session.post(
                self._shots.url, data=request.body, headers=request.headers, allow_redirects=False
            ) as reply:
                status, text = reply.status, (await reply.content.read(SHOWN)).decode("utf-8", "replace")
        except TimeoutError:
            text = f"no answer within {ATTEMPT_SECONDS:g} s"
        except (aiohttp.ClientError, OSError) as error:
            text = str(error) or type(error).__name__
        seconds = time.perf_counter() - began
        expected = is_expected(status, text, attempt, forged=self._shots.forged)
        return Answered(sample.type, sample.event_id, attempt, status, text, seconds, expected)


def is_expected(status: int | None, text: str, attempt: int, *, forged: bool) -> bool:
    """Contract section 6: 401 for a forgery, else any 2xx; and a duplicate is not acknowledged as if it were new."""
    if status is None:
        return False
    if forged:
        return status == 401
    return 200 <= status < 300 and not (attempt > 1 and text == "ok")


def another(sample: Sample, event_id: str | None = None) -> Sample:
    """The sample as a new event of this moment; with `event_id`, as that one."""
    now = time.time()
    if event_id is None:
        prefix = "wamid." if sample.source == META else ids.EVENT
        event_id = ids.make(prefix, int(now * 1000), os.urandom(ids.RANDOM_BYTES))
    return sample.renewed(event_id=event_id, timestamp=int(now))
