"""What is delivered: bodies of 461 bytes, 5 000 customers, one event of five without an ordering key."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from functools import cache
from itertools import cycle, islice

from kirimhook.contract import samples
from kirimhook.contract.events import MESSAGE_RECEIVED, META, dedupe_key, messages, read
from kirimhook.receiver.model import InboundEvent

BODY_BYTES = 461
CUSTOMERS = 5_000
KEYLESS = CUSTOMERS // 4
"""A fifth of all."""


@cache
def bodies() -> tuple[bytes, ...]:
    """All that differ, in an order that is random and always the same."""
    some = [_body(number, keyless=number >= CUSTOMERS) for number in range(CUSTOMERS + KEYLESS)]
    random.Random(2).shuffle(some)
    return tuple(some)


def _body(number: int, *, keyless: bool) -> bytes:
    customer = f"628{number:010}"
    payload = json.loads(
        samples.load("message.received.text").renewed(event_id=f"wamid.{number:08}", customer=customer).body
    )
    message = next(messages(payload))
    message["text"]["body"] = ""
    if keyless:
        del message["from"]
    message["text"]["body"] = "." * (BODY_BYTES - len(_encoded(payload)))
    return _encoded(payload)


def _encoded(payload: object) -> bytes:
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()


@cache
def _known() -> tuple[tuple[bytes, str | None], ...]:
    return tuple((body, read(body).ordering_key) for body in bodies())


def waiting_events(count: int, label: str, key: str | None = None) -> Iterator[InboundEvent]:
    """Events as the endpoint hands them to the inbox; `label` makes their ids unique, `key` puts all behind one."""
    now = int(time.time() * 1000)
    for number, (body, own_key) in enumerate(islice(cycle(_known()), count)):
        yield event(f"{label}-{number}", MESSAGE_RECEIVED, body, key or own_key, now)


def event(event_id: str, event_type: str, body: bytes, key: str | None = None, now: int | None = None) -> InboundEvent:
    """One event, received `now` (ms)."""
    return InboundEvent(
        dedupe_key=dedupe_key(META, event_id, event_type, body),
        event_id=event_id,
        type=event_type,
        source=META,
        ordering_key=key,
        livemode=True,
        problem=None,
        delivery_id=f"wbd_{event_id}",
        received_at=int(time.time() * 1000) if now is None else now,
        body=body,
    )
