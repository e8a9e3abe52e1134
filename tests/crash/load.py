"""Load without an end: many customers at once, the next event of each sent once the one before is acknowledged."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import NamedTuple, Self

from kirimhook.contract.samples import Sample
from tests.crash.sender import RESEND_AFTER, Sender
from tests.crash.waiting import SOON

CUSTOMERS = 16
PAUSE = 0.05
"""Seconds that a customer is silent: the processes under test need the processors too."""
DOUBLED = 0.1
"""Of the events: sent twice at one moment, to any receivers."""


class Answer(NamedTuple):
    """One attempt that was answered. Times are of the machine's monotonic clock."""

    began: float
    ended: float
    event_id: str
    status: int
    is_fresh: bool


class Load:
    """A context: in it new events are sent, on leaving it the last of them is acknowledged."""

    def __init__(
        self,
        urls: Callable[[], Sequence[str]],
        kinds: Sequence[Callable[[str, int], Sample]],
        name: str,
        draw: random.Random,
    ) -> None:
        """`urls`: of the receivers that run, at any moment. `name`: what ids begin with."""
        self.sent: list[Sample] = []
        self.answers: list[Answer] = []
        self._urls = urls
        self._kinds = kinds
        self._name = name
        self._draw = draw
        self._sender: Sender
        self._ticked = asyncio.Condition()
        self._on_their_way: Counter[str] = Counter()
        self._ended = False
        self._customers: list[asyncio.Task[None]] = []

    @property
    def acked(self) -> set[str]:
        return self._sender.acked

    @property
    def cut(self) -> int:
        return self._sender.cut

    @property
    def refused(self) -> int:
        return self._sender.answers.total() - len(self._of_status(200))

    @property
    def duplicates(self) -> int:
        return self._sender.duplicates

    async def __aenter__(self) -> Self:
        self._sender = Sender(in_flight=2 * CUSTOMERS)
        self._customers = [asyncio.create_task(self._customer(number)) for number in range(CUSTOMERS)]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended = True
        try:
            if error is None:
                async with asyncio.timeout(SOON):
                    await asyncio.gather(*self._customers)
        finally:
            for customer in self._customers:
                customer.cancel()
            await asyncio.gather(*self._customers, return_exceptions=True)
            await self._sender.__aexit__(kind, error, trace)

    async def answered(self, more: int) -> None:
        """Wait for so many answers more, whatever they say."""
        wanted = len(self.answers) + more
        await self._until(lambda: len(self.answers) >= wanted, f"{more} answers")

    async def on_its_way(self) -> str:
        """Wait until a request is; the URL that it goes to."""
        await self._until(lambda: self._on_their_way.total() > 0, "a request")
        return next(iter(self._on_their_way.elements()))

    async def acks(self, since: float, count: int = 1) -> set[str]:
        """Wait until so many new events were acknowledged whose sending began after `since`; their ids."""
        await self._until(lambda: len(self.fresh(since)) >= count, f"{count} acks of new events")
        return {answer.event_id for answer in self.fresh(since)}

    async def refusals(self, since: float, count: int = 1) -> None:
        """Wait for so many 503 to requests that began after `since`."""
        await self._until(lambda: len(self._of_status(503, since)) >= count, f"{count} answers of 503")

    def acked_between(self, began: float, ended: float) -> list[Answer]:
        """New events that were acknowledged between these moments, to requests that began after the first."""
        return [answer for answer in self.fresh(began) if answer.ended < ended]

    def fresh(self, since: float) -> list[Answer]:
        return [answer for answer in self._of_status(200, since) if answer.is_fresh]

    def _of_status(self, status: int, since: float = 0.0) -> list[Answer]:
        return [answer for answer in self._since(since) if answer.status == status and answer.began >= since]

    def _since(self, moment: float) -> list[Answer]:
        """At least the answers to requests that began after it: the newest, in the order in which they came."""
        first = len(self.answers)
        while first and self.answers[first - 1].ended >= moment:
            first -= 1
        return self.answers[first:]

    async def _until(self, holds: Callable[[], bool], what: str) -> None:
        try:
            async with asyncio.timeout(SOON), self._ticked:
                await self._ticked.wait_for(holds)
        except TimeoutError:
            raise AssertionError(f"not within {SOON:g} s: {what}; last: {self.answers[-3:]}") from None

    async def _customer(self, customer: int) -> None:
        serial = 0
        while not self._ended:
            sample = self._draw.choice(self._kinds)(f"{self._name}-{customer}-{serial}", customer)
            self.sent.append(sample)
            times = 2 if self._draw.random() < DOUBLED else 1
            await asyncio.gather(*(self._until_acked(sample) for _ in range(times)))
            serial += 1
            await asyncio.sleep(PAUSE)

    async def _until_acked(self, sample: Sample) -> None:
        attempt = 1
        while not await self._post(sample, min(attempt, 8)):
            attempt += 1
            await asyncio.sleep(RESEND_AFTER)

    async def _post(self, sample: Sample, attempt: int) -> bool:
        """Whether it was acknowledged."""
        urls = self._urls()
        if not urls:
            return False
        url = self._draw.choice(urls)
        began = time.monotonic()
        self._on_their_way[url] += 1
        await self._tick()
        reply = await self._sender.post(url, sample, attempt)
        self._on_their_way[url] -= 1
        if reply is None:
            return False
        fresh = reply.text == "ok"
        self.answers.append(Answer(began, time.monotonic(), sample.event_id, reply.status, fresh))
        await self._tick()
        return reply.status == 200

    async def _tick(self) -> None:
        async with self._ticked:
            self._ticked.notify_all()
