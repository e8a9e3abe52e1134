"""The provider's side of the tests: signs and posts, and resends every event until it is answered with 200."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import NamedTuple, Self

import aiohttp

from kirimhook.contract import samples
from kirimhook.contract.samples import Sample
from kirimhook.contract.signature import Secret
from kirimhook.testing.requests import TEST_SECRET, signed_request

RESEND_AFTER = 0.05
"""Seconds. The real one waits 10 and more."""


class Reply(NamedTuple):
    status: int
    text: str
    seconds: float


def message(event_id: str, customer: int) -> Sample:
    """For the transactional handler; one ordering key a customer."""
    return of("message.received", event_id, customer)


def contact(event_id: str, customer: int) -> Sample:
    """For the async handler; one ordering key a customer."""
    return of("contact.updated", event_id, customer)


def of(name: str, event_id: str, customer: int) -> Sample:
    """A sample of this name as an event of its own."""
    return samples.load(name).renewed(event_id=event_id, customer=f"62812{customer:08d}")


class Sender:
    """Use as an async context, on one event loop. Counts as it goes."""

    def __init__(self, *, secrets: Sequence[Secret] = (TEST_SECRET,), in_flight: int = 32) -> None:
        self.secrets = tuple(secrets)
        """Signs every attempt; set it to move on."""
        self.posts = 0
        self.cut = 0
        """Attempts that reached the receiver, as far as the sender knows, and had no answer."""
        self.answers: Counter[tuple[int, str]] = Counter()
        self.acked: set[str] = set()
        """Ids of events that were answered with 200."""
        self.seconds: list[float] = []
        """From request to 200, each."""
        self._in_flight = asyncio.Semaphore(in_flight)
        self._ticked = asyncio.Condition()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=in_flight), timeout=aiohttp.ClientTimeout(total=10)
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    @property
    def refused(self) -> dict[tuple[int, str], int]:
        """Answers other than 200, with their text."""
        return {answer: count for answer, count in self.answers.items() if answer[0] != 200}

    @property
    def duplicates(self) -> int:
        return self.answers[200, "duplicate-ack"]

    async def post(self, url: str, sample: Sample, attempt: int = 1) -> Reply | None:
        """One attempt; None when no answer came."""
        request = signed_request(sample, *self.secrets, attempt=attempt)
        self.posts += 1
        began = time.perf_counter()
        try:
            async with self._session.post(url, data=request.body, headers=request.headers) as response:
                text = await response.text()
        except aiohttp.ClientConnectorError:
            return None
        except (aiohttp.ClientError, TimeoutError, OSError):
            self.cut += 1
            return None
        reply = Reply(response.status, text, time.perf_counter() - began)
        await self._note(sample, reply)
        return reply

    async def until_acked(self, url: str, sample: Sample) -> Reply:
        """Attempt after attempt until 200. Every other answer is counted, and tried again."""
        attempt = 1
        while True:
            async with self._in_flight:
                reply = await self.post(url, sample, min(attempt, 8))
            if reply is not None and reply.status == 200:
                return reply
            attempt += 1
            await asyncio.sleep(RESEND_AFTER)

    async def send(self, url: str, some: Iterable[Sample]) -> None:
        """All of them at once, as far as there is room, each until acked."""
        async with asyncio.TaskGroup() as tasks:
            for sample in some:
                tasks.create_task(self.until_acked(url, sample))

    async def answered(self, replies: int) -> None:
        """Wait until so many answers have come in all."""
        async with self._ticked:
            await self._ticked.wait_for(lambda: self.answers.total() >= replies)

    def percentile(self, share: float) -> float:
        """Milliseconds from request to 200."""
        ordered = sorted(self.seconds)
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)] * 1000

    async def _note(self, sample: Sample, reply: Reply) -> None:
        self.answers[reply.status, reply.text] += 1
        if reply.status == 200:
            self.acked.add(sample.event_id)
            self.seconds.append(reply.seconds)
        async with self._ticked:
            self._ticked.notify_all()
