"""What happens to one request between its body and its answer."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from logging import DEBUG
from typing import TYPE_CHECKING, Any, NamedTuple

from kirimhook.contract.headers import DeliveryHeaders, parse
from kirimhook.contract.signature import Reason
from kirimhook.observe import MOST_TYPES, OTHER_TYPES, Meter, Observer
from kirimhook.receiver.admission import Admission, Judgement, Ordering
from kirimhook.receiver.answers import Answer, unavailable
from kirimhook.receiver.clockcheck import ClockCheck
from kirimhook.receiver.intake import Intake
from kirimhook.receiver.model import Receipt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from kirimhook.receiver.inbox import Inbox
    from kirimhook.receiver.model import InboundEvent
    from kirimhook.receiver.secrets import Keyring
    from kirimhook.settings import ReceiverSettings

    Client = tuple[str, int] | None

_AGAIN = frozenset((Reason.NO_MATCH, Reason.NO_SECRETS))
_OUT_OF_TIME = frozenset((Reason.STALE, Reason.FUTURE))
_FRESH = Receipt.FRESH.value
_OF_PARKED = Receipt.DUPLICATE_PARKED.value
_VERIFY_THREADS = 2


class Parts(NamedTuple):
    """What a reception is made of, and how it is seen."""

    inbox: Inbox
    keyring: Keyring
    hooks: Ordering | None
    settings: ReceiverSettings
    clock: Callable[[], float]
    meter: Meter
    observer: Observer


class Reception:
    """Judges requests, hands events to the inbox, and keeps account. One event loop."""

    def __init__(self, parts: Parts) -> None:
        self.meter = parts.meter
        self.observer = parts.observer
        self.is_open = False
        self._keyring = parts.keyring
        self._clock = parts.clock
        self._off_loop_from = parts.settings.off_loop_from
        self._admission = Admission(parts.settings, parts.hooks)
        self._intake = Intake(parts.inbox, parts.settings, parts.observer, parts.meter)
        self._clock_check = ClockCheck()
        self._failed = unavailable("receiver_failed", parts.settings.retry_after)
        self._requests = parts.meter.counter("kirimhook_requests_total")
        self._stored_bytes = parts.meter.counter("kirimhook_received_bytes_total")
        self._stored_types = parts.meter.counter("kirimhook_received_types_total")
        self._not_started = unavailable("not_started", parts.settings.retry_after)
        self._told_not_started = False
        self._threads: ThreadPoolExecutor | None = None
        self.refuse = self._admission.refuse

    def accept(self, method: str, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> InboundEvent | Answer:
        """The event, or the answer that refuses it. Never raises."""
        try:
            read = parse(headers)
            refusal = self.refuse(method, read, len(body))
            if refusal is not None:
                return refusal
            now = self._clock()
            return self._note(self._admission.judge(read, body, now, self._keyring.secrets), read, now)
        except Exception as error:  # a defect of ours must not be the sender's 4xx
            self.observer.event("receiver_failed", error=error, status=503)
            return self._failed

    async def take(self, headers: DeliveryHeaders, body: bytes) -> Answer:
        """Judge what was not refused at once, and store it. Never raises."""
        if not self.is_open:
            return self._tell_not_started()
        try:
            event = await self._judge(headers, body)
            return event if isinstance(event, Answer) else await self._stored(event)
        except Exception as error:  # as in accept
            self.observer.event("receiver_failed", error=error, status=503, **named(headers))
            return self._failed

    def take_at_once(self, headers: DeliveryHeaders, body: bytes, reply: Callable[[Answer], None]) -> bool:
        """As `take`, with the answer to `reply`. False, and nothing has happened, when it must be awaited."""
        if not self.is_open or len(body) >= self._off_loop_from:
            return False
        now = self._clock()
        try:
            judgement = self._admission.judge(headers, body, now, self._keyring.secrets)
        except Exception:  # `take` meets it again, and says so
            return False
        error = judgement[2]
        if error is not None and error.reason in _AGAIN:
            return False
        event = self._note(judgement, headers, now)
        if isinstance(event, Answer):
            reply(event)
        else:
            self._intake.put(event, reply)
        return True

    def account(self, reply: Answer, headers: DeliveryHeaders, size: int, client: Client = None) -> Answer:
        """Count and log what became of a request."""
        reason = reply.reason
        self._requests[reason] += 1
        if reply.status != 200:
            self.observer.event(
                "refused",
                status=reply.status,
                reason=reason,
                detail=reply.detail or None,
                client="{}:{}".format(*client) if client else None,
                bytes=size,
                **named(headers),
            )
            return reply
        if reason == _FRESH:
            self._stored_bytes[""] += size
            kind, known = headers.event_type, self._stored_types
            if kind not in known and len(known) >= MOST_TYPES:
                kind = OTHER_TYPES
            known[kind] += 1
        elif reason == _OF_PARKED:
            self.observer.event("duplicate_of_parked", bytes=size, **named(headers))
        if self.observer.is_enabled(DEBUG):
            self.observer.event("acked", receipt=reason, bytes=size, **named(headers))
        return reply

    def clock_offset(self) -> float | None:
        return self._clock_check.offset(self._clock())

    async def drain(self) -> None:
        """Let what was taken be committed."""
        await self._intake.drain()
        if self._threads is not None:
            self._threads.shutdown(wait=False)
            self._threads = None

    def _stored(self, event: InboundEvent) -> asyncio.Future[Answer]:
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._intake.put(event, partial(_resolve, answer))
        return answer

    def _tell_not_started(self) -> Answer:
        if not self._told_not_started:
            self._told_not_started = True
            self.observer.event("not_started", hint="run `async with receiver:` in your application's lifespan")
        return self._not_started

    async def _judge(self, headers: DeliveryHeaders, body: bytes) -> InboundEvent | Answer:
        now = self._clock()
        secrets = self._keyring.secrets
        if len(body) < self._off_loop_from:
            judgement = self._admission.judge(headers, body, now, secrets)
        else:
            judgement = await self._judge_in_thread(headers, body, now)
        error = judgement[2]
        if error is not None and error.reason in _AGAIN:
            await self._keyring.refresh_on_mismatch()
            if self._keyring.secrets is not secrets:
                judgement = await self._judge_in_thread(headers, body, now)
        return self._note(judgement, headers, now)

    async def _judge_in_thread(self, headers: DeliveryHeaders, body: bytes, now: float) -> Judgement:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(_VERIFY_THREADS, thread_name_prefix="kirimhook-verify")
        return await asyncio.get_running_loop().run_in_executor(
            self._threads, self._admission.judge, headers, body, now, self._keyring.secrets
        )

    def _note(self, judgement: Judgement, headers: DeliveryHeaders, now: float) -> InboundEvent | Answer:
        """Remember what the signature told about our secrets and our clock."""
        result, matched, error = judgement
        if error is None:
            self._keyring.matched(matched, now)
            self._clock_check.inside()
        elif error.reason in _OUT_OF_TIME and error.skew is not None:
            self._clock_check.outside(now, error.skew, headers.signature or b"")
        return result


def _resolve(future: asyncio.Future[Answer], answer: Answer) -> None:
    if not future.done():  # whoever waited was cancelled
        future.set_result(answer)


def named(headers: DeliveryHeaders) -> dict[str, Any]:
    """Which delivery: the fields of a log event. They are the client's word, verified or not."""
    return {
        "event_id": headers.event_id or None,
        "type": headers.event_type or None,
        "source": headers.source or None,
        "delivery_id": headers.delivery_id or None,
        "attempt": headers.attempt or None,
    }
