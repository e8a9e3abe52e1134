"""Your handlers on the production path, in a test: real signature, real storage, real worker; only time is yours."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

from kirimhook.backends import open_inbox
from kirimhook.contract.samples import Sample, load
from kirimhook.contract.signature import Secret
from kirimhook.receiver.answers import Answer
from kirimhook.receiver.endpoint import Receiver
from kirimhook.receiver.hooks import Hooks
from kirimhook.receiver.inbox import Filter
from kirimhook.receiver.model import EventState, StoredEvent
from kirimhook.receiver.secrets import Keyring
from kirimhook.receiver.worker import Worker
from kirimhook.settings import ReceiverSettings
from kirimhook.testing.clock import Clock
from kirimhook.testing.requests import TEST_SECRET, signed_request

T = TypeVar("T")

PATIENCE = 30.0
"""Seconds after which a handler that does not end fails the test."""


@dataclass(frozen=True, slots=True)
class Handled:
    """What became of one delivery, once the worker had nothing left to do."""

    status: int
    """Of the HTTP answer."""
    reply: str
    state: EventState | None
    """None when the delivery was refused, so nothing is stored."""
    attempts: int
    reason: str | None
    """Why it is parked, or why the last attempt failed, with the traceback."""


class Webhooks:
    """A receiver and its worker over an inbox in memory. A context; or `close` it."""

    def __init__(
        self,
        hooks: Hooks,
        settings: ReceiverSettings = ReceiverSettings(),
        *,
        secret: Secret = TEST_SECRET,
    ) -> None:
        self.clock = Clock()
        self.secret = secret
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="kirimhook-testing", daemon=True)
        self._inbox = open_inbox("sqlite:///:memory:", clock=self.clock)
        self._receiver = Receiver(
            self._inbox, Keyring.static(secret), hooks=hooks, settings=settings, clock=self.clock, work=False
        )
        self._worker = Worker(self._inbox, hooks, settings=settings, clock=self.clock)
        self._thread.start()
        try:
            self._run(self._start())
        except BaseException:
            self._end()
            raise

    def send(self, sample: Sample | str, *secrets: Secret) -> Handled:
        """Deliver a sample (or the one of this name) and wait until all that is due has been handled."""
        sent = load(sample) if isinstance(sample, str) else sample
        return self._run(self._send(sent, secrets or (self.secret,)))

    def advance(self, seconds: float) -> None:
        """Let time pass, and wait until what became due has been handled: retries and snoozes."""
        self.clock.advance(seconds)
        self._run(self._worker.idle())

    def state(self, sample: Sample | str) -> Handled:
        """How the sample's event stands now. Raises LookupError for one that was never stored."""
        sent = load(sample) if isinstance(sample, str) else sample
        stored = self._run(self._find(sent))
        if stored is None:
            raise LookupError(f"{sent.name} is not in the inbox")
        return Handled(200, "", stored.state, stored.attempts, stored.reason)

    def close(self) -> None:
        """Twice is once."""
        if self._thread.is_alive():
            self._run(self._stop())
            self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def _send(self, sample: Sample, secrets: tuple[Secret, ...]) -> Handled:
        request = signed_request(sample, *secrets, now=self.clock())
        answer: Answer = await self._receiver.receive("POST", request.raw_headers, request.body)
        await self._worker.idle()
        stored = await self._find(sample) if answer.status == 200 else None
        if stored is None:
            return Handled(answer.status, answer.body.decode(), None, 0, None)
        return Handled(answer.status, answer.body.decode(), stored.state, stored.attempts, stored.reason)

    async def _start(self) -> None:
        await self._receiver.start()
        self._worker.start()

    async def _stop(self) -> None:
        await self._worker.stop()
        await self._receiver.stop()

    async def _find(self, sample: Sample) -> StoredEvent | None:
        page = await self._inbox.list(Filter(event_id=sample.event_id), 100)
        return next((stored for stored in page.events if stored.event.body == sample.body), None)

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE)

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
