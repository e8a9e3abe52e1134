"""The deliveries an examination sends: events of its own, inert (`livemode: false`) wherever the body can say so."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kirimhook.contract import events, headers, ids
from kirimhook.contract.samples import Sample, load
from kirimhook.contract.signature import Secret, sign
from kirimhook.operating.doctor.wire import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

UNKNOWN_TYPE = "doctor.examined"
"""An event type that no provider sends."""
_SIGNATURE = headers.SIGNATURE.encode()


class Letters:
    """Makes events, each with an id of its own, and the requests that deliver them, rightly signed or not.

    `clock` gives unix seconds. `written` holds the ids of all events made.
    """

    def __init__(self, secrets: Sequence[Secret], clock: Callable[[], float]) -> None:
        """Signs with all of the secrets, as a sender does, where nothing else is said."""
        self.written: list[str] = []
        self.forger = Secret(f"whsec_{os.urandom(24).hex()}")
        """Nobody else has it."""
        self._secrets = secrets
        self._clock = clock

    @property
    def now(self) -> int:
        return int(self._clock())

    def event(self) -> Sample:
        """A test event of a documented type."""
        return load("contact.created").renewed(
            event_id=self._new_id(ids.EVENT), timestamp=self.now, customer="6281200000000", livemode=False
        )

    def unknown(self) -> Sample:
        """A test event of a type that is in no catalogue."""
        event = self.event()
        return replace(event, type=UNKNOWN_TYPE, body=_retold(event, {"type": UNKNOWN_TYPE}))

    def large(self, size: int) -> Sample:
        """A test event whose body has so many bytes."""
        event = self.event()
        room = size - len(_retold(event, {"padding": ""}))
        return replace(event, body=_retold(event, {"padding": "x" * room}))

    def statuses(self) -> list[Sample]:
        """`sent`, `delivered` and `read` of one message: one event id, three bodies. Nothing says it is a test."""
        wamid = self._new_id("wamid.")
        names = ("sent", "delivered", "read")
        return [
            load(f"message.status.{name}").renewed(event_id=wamid, timestamp=self.now + order)
            for order, name in enumerate(names)
        ]

    def with_body(self, body: bytes) -> Sample:
        """A new event of a documented type with any bytes for a body."""
        return replace(self.event(), body=body)

    def oddly_written(self) -> Sample:
        """A test event whose JSON is valid and that no serialiser would write the same way again."""
        event = self.event()
        body = (
            b'\n { "type" : "contact.created" ,\t"livemode":false,"id": "%b",\r\n "created_at":"2026-05-23T10:00:00Z",'
            b'"data":{"contact":{"id":"con_doctor","object":"contact","phone_number":"+6281200000000",'
            b'"name":"Zo\\u00eb \xc3\xa9 \xf0\x9f\xa9\xba \\/ \\u003C","email":null,'
            b'"metadata":{"one":1.0,"hundred":1E2,"small":10e-7,"large":12345678901234567890,"b":2,"a":1},'
            b'"whatsapp_account":{"phone_number":"+622100000000"},'
            b'"created_at":"2026-05-23T10:00:00Z","updated_at":"2026-05-23T10:00:00Z"}}}\n\n'
        ) % event.event_id.encode()
        return replace(event, body=body)

    def signature(self, body: bytes, *, at: float | None = None, secret: Secret | None = None) -> bytes:
        """The header of a right signature, or of one made at another time (unix seconds) or with one secret alone."""
        secrets = (secret,) if secret else self._secrets
        return sign(secrets, body, self.now if at is None else int(at)).encode()

    def signed(self, event: Sample, *, secret: Secret | None = None, attempt: int = 1) -> Request:
        """Its delivery, rightly signed."""
        return self.delivery(event, self.signature(event.body, secret=secret), attempt=attempt)

    def delivery(self, event: Sample, *signatures: bytes, attempt: int = 1) -> Request:
        """Its delivery with these signature headers, however many and whatever they are."""
        now = self._clock()
        built = headers.build(
            source=event.source,
            event_type=event.type,
            event_id=event.event_id,
            delivery_id=ids.make(ids.DELIVERY, int(now * 1000), os.urandom(ids.RANDOM_BYTES)),
            attempt=attempt,
            signature="-",
        )
        del built[headers.SIGNATURE]
        named = [(name.encode(), value.encode()) for name, value in built.items()]
        return Request([*named, *((_SIGNATURE, signature) for signature in signatures)], event.body)

    def _new_id(self, prefix: str) -> str:
        made = ids.make(prefix, int(self._clock() * 1000), os.urandom(ids.RANDOM_BYTES))
        self.written.append(made)
        return made


def _retold(event: Sample, changes: dict[str, Any]) -> bytes:
    return events.encode({**json.loads(event.body), **changes})
