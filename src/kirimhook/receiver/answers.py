"""What the receiver answers. Contract section 6.

The reply says as little as the contract allows; `Answer.reason` and `detail` are for the log.
"""

from __future__ import annotations

from typing import NamedTuple

from kirimhook.contract.signature import Reason
from kirimhook.receiver.model import Receipt

Headers = tuple[tuple[bytes, bytes], ...]


class Answer(NamedTuple):
    """A reply, ready to be written, and what to call it in the log and (the reason) in the metrics."""

    status: int
    body: bytes
    headers: Headers
    reason: str
    detail: str = ""
    wire: bytes = b""
    """Headers and body as HTTP/1.1 writes them."""


def answer(status: int, text: str, reason: str, *more: tuple[bytes, bytes]) -> Answer:
    body = text.encode()
    headers = (
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        *more,
    )
    wire = b"".join([*(b"%b: %b\r\n" % header for header in headers), b"\r\n", body])
    return Answer(status, body, headers, reason, wire=wire)


def unavailable(reason: str, retry_after: int) -> Answer:
    """503: our own fault, so the sender shall try again, in `retry_after` seconds."""
    return answer(503, "service unavailable", reason, (b"retry-after", str(retry_after).encode()))


ACKED = {
    Receipt.FRESH: answer(200, "ok", Receipt.FRESH.value),
    Receipt.DUPLICATE: answer(200, "duplicate-ack", Receipt.DUPLICATE.value),
    Receipt.DUPLICATE_PARKED: answer(200, "duplicate-ack", Receipt.DUPLICATE_PARKED.value),
}
NOT_AUTHENTIC = {reason: answer(401, "invalid signature", reason.value) for reason in Reason}
OTHER_IDENTITY = answer(401, "invalid signature", "identity")
NO_EVENT_ID = answer(400, "missing event id or type", "no_event_id")
NO_EVENT_TYPE = answer(400, "missing event id or type", "no_event_type")
NOT_FOUND = answer(404, "not found", "path")
NOT_POST = answer(405, "method not allowed", "method", (b"allow", b"POST"))
TOO_LARGE = answer(413, "payload too large", "too_large")
NOT_JSON = answer(415, "unsupported media type", "content_type")
