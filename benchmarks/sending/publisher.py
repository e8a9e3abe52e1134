"""Publishes through the API of a sender, in batches, as fast as it goes or at a fixed rate."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Iterator, Sequence
from itertools import islice

import aiohttp

from benchmarks.sending.stock import event_type

NOTE = "." * 830
"""Makes the body of a delivery about 1 KiB."""
CONNECTIONS = 4
PATIENCE = 60.0


class PublishError(Exception):
    """The API did not accept a batch as it should."""


def event_ids(label: int, count: int) -> list[str]:
    """Unique for each label below 1000."""
    return [f"evt_{label:03}{number:023}" for number in range(count)]


class Publisher:
    """Sends every event to the next endpoint, in batches that are made before they are wanted."""

    def __init__(self, url: str, key: str, endpoints: int) -> None:
        self._url = f"{url}/v1/events"
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self._endpoints = endpoints

    def as_fast(self, ids: Sequence[str], size: int) -> float:
        """The next batch of a connection when the last one is accepted. When it began, by the monotonic clock."""
        with _single():
            return asyncio.run(self._as_fast(self._batches(ids, size)))

    def at_rate(self, ids: Sequence[str], size: int, per_second: float) -> dict[str, float]:
        """A batch at fixed times, whatever became of those before; when each event should have been sent."""
        with _single():
            return asyncio.run(self._at_rate(ids, self._batches(ids, size), size / per_second))

    def _batches(self, ids: Sequence[str], size: int) -> list[bytes]:
        events = [
            {
                "id": name,
                "type": event_type(number % self._endpoints),
                "data": {"contact": {"id": f"con_{number}", "object": "contact", "note": NOTE}},
            }
            for number, name in enumerate(ids)
        ]
        starts = range(0, len(events), size)
        return [json.dumps({"events": events[start : start + size]}).encode() for start in starts]

    async def _as_fast(self, batches: Sequence[bytes]) -> float:
        left = iter(batches)
        async with self._session() as session, asyncio.TaskGroup() as group:
            began = time.monotonic()
            for _ in range(CONNECTIONS):
                group.create_task(self._post_all(session, left))
        return began

    async def _post_all(self, session: aiohttp.ClientSession, left: Iterator[bytes]) -> None:
        for batch in left:
            await self._post(session, batch)

    async def _at_rate(self, ids: Sequence[str], batches: Sequence[bytes], interval: float) -> dict[str, float]:
        sent: dict[str, float] = {}
        rest = iter(ids)
        async with self._session() as session, asyncio.TaskGroup() as group:
            began = time.monotonic() + interval
            for number, batch in enumerate(batches):
                at = began + number * interval
                await asyncio.sleep(at - time.monotonic())
                group.create_task(self._post(session, batch))
                sent.update(dict.fromkeys(islice(rest, len(ids) // len(batches)), at))
        return sent

    def _session(self) -> aiohttp.ClientSession:
        timeout = aiohttp.ClientTimeout(PATIENCE)
        return aiohttp.ClientSession(headers=self._headers, timeout=timeout)

    async def _post(self, session: aiohttp.ClientSession, batch: bytes) -> None:
        async with session.post(self._url, data=batch) as answer:
            said = await answer.read()
            if answer.status != 202 or b'"duplicate":true' in said.replace(b" ", b""):
                raise PublishError(f"{answer.status}: {said[:500].decode('utf-8', 'replace')}")


@contextlib.contextmanager
def _single() -> Iterator[None]:
    """One error says enough, where several batches were refused."""
    try:
        yield
    except* PublishError as errors:
        found: BaseException = errors
        while isinstance(found, BaseExceptionGroup):
            found = found.exceptions[0]
        refused = found
    else:
        return
    raise refused
