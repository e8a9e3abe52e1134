"""From a request to an event, or to the answer that refuses it: what is decided, in what order. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from kirimhook.contract.events import Identity, dedupe_key, read, signed_identity
from kirimhook.contract.signature import Reason, Secret, SignatureError, verify
from kirimhook.receiver.answers import (
    NO_EVENT_ID,
    NO_EVENT_TYPE,
    NOT_AUTHENTIC,
    NOT_JSON,
    NOT_POST,
    OTHER_IDENTITY,
    TOO_LARGE,
    Answer,
    unavailable,
)
from kirimhook.receiver.model import InboundEvent

if TYPE_CHECKING:
    from kirimhook.contract.headers import DeliveryHeaders
    from kirimhook.settings import ReceiverSettings

JSON = b"application/json"


class Ordering(Protocol):
    """What admission needs of the hooks."""

    def ordered(self, event_type: str) -> bool: ...


Judgement = tuple[InboundEvent | Answer, tuple[Secret, ...], SignatureError | None]
"""The event or its refusal, the secrets that verified it, and what was wrong with its signature."""


class Admission:
    """The checks that a request passes, in the order of contract section 6. Holds no state; any thread."""

    __slots__ = ("_hooks", "_max_body", "_no_secrets", "_signed", "_tolerance")

    def __init__(self, settings: ReceiverSettings, hooks: Ordering | None) -> None:
        self._hooks = hooks
        self._max_body = settings.max_body
        self._signed = settings.identity is Identity.SIGNED
        self._tolerance = settings.tolerance
        self._no_secrets = unavailable(Reason.NO_SECRETS.value, settings.retry_after)

    def refuse(self, method: str, headers: DeliveryHeaders, size: int) -> Answer | None:
        """What can be refused without looking at the body, which has `size` bytes, or says so."""
        if method != "POST":
            return NOT_POST
        if headers.content_type != JSON and not _is_json(headers.content_type):
            return NOT_JSON
        return TOO_LARGE if size > self._max_body else None

    def judge(self, headers: DeliveryHeaders, body: bytes, now: float, secrets: tuple[Secret, ...]) -> Judgement:
        """Verify, then read. `now` is in unix seconds."""
        if not secrets:
            return self._no_secrets, (), SignatureError(Reason.NO_SECRETS)
        try:
            matched = verify(secrets, headers.signature, body, now, self._tolerance).matched
        except SignatureError as error:
            refusal = NOT_AUTHENTIC[error.reason]
            if error.skew is not None:
                refusal = refusal._replace(detail=f"our clock is {error.skew:+.0f} s from the signature's")
            return refusal, (), error
        return self._compose(headers, body, now), matched, None

    def _compose(self, headers: DeliveryHeaders, body: bytes, now: float) -> InboundEvent | Answer:
        event_id, event_type, source, delivery_id, *_ = headers
        if not event_id:
            return NO_EVENT_ID
        if not event_type:
            return NO_EVENT_TYPE
        reading = read(body)
        if self._signed:
            signed_id = signed_identity(headers, reading)
            if signed_id is None:
                return OTHER_IDENTITY
            event_id, source = signed_id, reading.source
        source = source or reading.source
        key = reading.ordering_key
        if key is not None and self._hooks is not None and not self._hooks.ordered(event_type):
            key = None
        return InboundEvent(
            dedupe_key(source, event_id, event_type, body),
            event_id,
            event_type,
            source,
            key,
            reading.livemode,
            reading.problem,
            delivery_id,
            int(now * 1000),
            body,
        )


def _is_json(content_type: bytes) -> bool:
    return content_type.partition(b";")[0].strip(b" \t").lower() == JSON
