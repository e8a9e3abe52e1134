"""What the tests of the receiver's front share: deliveries signed without the code under test, and the log."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
from typing import Any, NamedTuple

from kirimhook.observe import Observer

NOW = 1_800_000_000
SECRET = "whsec_" + "A1b2" * 10 + "xyz"
OTHER = "whsec_" + "Z9y8" * 10 + "abc"

Headers = list[tuple[bytes, bytes]]


class Delivery(NamedTuple):
    """One request, as an ASGI server hands it on."""

    headers: Headers
    body: bytes
    method: str = "POST"


def signature(secret: str, body: bytes, at: int) -> bytes:
    digest = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}".encode()


def envelope(event_id: str = "evt_1", **more: object) -> bytes:
    """A kirim body. Its ordering key is `contact:con_7`."""
    data = {"id": event_id, "type": "contact.created", "livemode": True, "data": {"contact": {"id": "con_7"}}, **more}
    return json.dumps(data).encode()


def status(state: str, wamid: str = "wamid.1") -> bytes:
    """A meta body with one status."""
    value = {
        "metadata": {"phone_number_id": "15550001"},
        "statuses": [{"id": wamid, "status": state, "recipient_id": "628111"}],
    }
    return json.dumps({"object": "whatsapp_business_account", "entry": [{"changes": [{"value": value}]}]}).encode()


def delivery(
    body: bytes | None = None,
    *,
    at: int = NOW,
    secret: str = SECRET,
    signed: bytes | None = None,
    **named: str | None,
) -> Delivery:
    """A good delivery of `body`. `named` headers (underscores for dashes) replace others; None drops one."""
    body = envelope() if body is None else body
    given: dict[str, str | None] = {
        "content-type": "application/json",
        "x-kirim-source": "kirim",
        "x-kirim-event": "contact.created",
        "x-kirim-event-id": "evt_1",
        "x-kirim-delivery-id": "wbd_1",
        "x-kirim-attempt": "2",
        "content-length": str(len(body)),
        **{name.replace("_", "-"): value for name, value in named.items()},
    }
    headers = [(name.encode(), value.encode()) for name, value in given.items() if value is not None]
    headers.append((b"x-kirim-signature", signature(secret, body, at) if signed is None else signed))
    return Delivery(headers, body)


class Log(logging.Handler):
    """The events that an observer wrote, with their fields and their lines."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        self._sleepers: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []
        logger = logging.getLogger(f"tests.{id(self)}")
        logger.setLevel(logging.DEBUG)
        logger.propagate = False
        logger.handlers = [self]
        self.observer = Observer(logger)

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)
        for loop, stirred in self._sleepers:
            loop.call_soon_threadsafe(stirred.set)

    async def seen(self, name: str, times: int = 1) -> None:
        """Return when an event was logged so often."""
        stirred = asyncio.Event()
        self._sleepers.append((asyncio.get_running_loop(), stirred))
        while len(self.named(name)) < times:
            await stirred.wait()
            stirred.clear()
        self._sleepers.clear()

    def named(self, name: str) -> list[dict[str, Any]]:
        return [fields for fields in self.events if fields["event"] == name]

    @property
    def events(self) -> list[dict[str, Any]]:
        return [vars(record)["kirimhook"] for record in self.records]

    @property
    def text(self) -> str:
        """All that was written, tracebacks included."""
        return "\n".join(logging.Formatter("%(message)s").format(record) for record in self.records)
