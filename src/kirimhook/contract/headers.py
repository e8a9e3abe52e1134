"""The headers of a delivery: read from whatever arrived, and built by the sender. Contract section 2."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

CONTENT_TYPE = "Content-Type"
CONTENT_LENGTH = "Content-Length"
USER_AGENT = "User-Agent"
SOURCE = "X-Kirim-Source"
EVENT = "X-Kirim-Event"
EVENT_ID = "X-Kirim-Event-Id"
DELIVERY_ID = "X-Kirim-Delivery-Id"
ATTEMPT = "X-Kirim-Attempt"
SIGNATURE = "X-Kirim-Signature"

JSON_CONTENT_TYPE = "application/json"
SENDER = "Kirim-Webhook/1.0"
MAX_VALUE_BYTES = 512

_BLANKS = b" \t"
_CONTROL = re.compile("[\0-\x1f\x7f]")
_MAX_DIGITS = 15

_source, _event, _event_id, _delivery_id, _attempt, _signature, _content_type, _content_length = (
    name.lower().encode()
    for name in (SOURCE, EVENT, EVENT_ID, DELIVERY_ID, ATTEMPT, SIGNATURE, CONTENT_TYPE, CONTENT_LENGTH)
)
_TEXT = frozenset((_source, _event, _event_id, _delivery_id, _attempt, _content_type, _content_length))


class DeliveryHeaders(NamedTuple):
    """What the headers say; "", 0 and None stand for absent or unusable.

    Texts are the received bytes as Latin-1. `signature` is raw, for `signature.verify` to judge.
    """

    event_id: str
    event_type: str
    source: str
    delivery_id: str
    attempt: int
    signature: bytes | None
    content_type: bytes
    content_length: int | None


def parse(headers: Iterable[tuple[bytes, bytes]]) -> DeliveryHeaders:
    """Read the headers, whatever their order and the case of their names. Never raises.

    Blanks around a value are dropped. A header counts as absent when it is repeated with another value,
    is longer than 512 bytes or holds a control character. Signatures are of any length, and repeated
    ones are joined with a comma, as HTTP joins them.
    """
    texts: dict[bytes, str] = {}
    signature: bytes | None = None
    for name, value in headers:
        name = name.lower()
        if name in _TEXT:
            text = _text(value)
            if texts.setdefault(name, text) != text:
                texts[name] = ""
        elif name == _signature:
            signature = value if signature is None else b"%b,%b" % (signature, value)
    get = texts.get
    return DeliveryHeaders(
        get(_event_id, ""),
        get(_event, ""),
        get(_source, ""),
        get(_delivery_id, ""),
        _integer(get(_attempt, "")) or 0,
        signature,
        get(_content_type, "").encode("latin-1"),
        _integer(get(_content_length, "")),
    )


def _text(value: bytes) -> str:
    text = value.strip(_BLANKS).decode("latin-1")
    usable = len(text) <= MAX_VALUE_BYTES and (text.isprintable() or not _CONTROL.search(text))
    return text if usable else ""


def _integer(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS else None


def build(
    *, source: str, event_type: str, event_id: str, delivery_id: str, attempt: int, signature: str
) -> dict[str, str]:
    """All headers of one attempt. Raises ValueError for a value that no header can carry."""
    built = {
        CONTENT_TYPE: JSON_CONTENT_TYPE,
        USER_AGENT: SENDER,
        SOURCE: source,
        EVENT: event_type,
        EVENT_ID: event_id,
        DELIVERY_ID: delivery_id,
        ATTEMPT: str(attempt),
        SIGNATURE: signature,
    }
    for name, value in built.items():
        if not _is_carried(value, MAX_VALUE_BYTES if name != SIGNATURE else None):
            raise ValueError(f"{name} must be printable ASCII without blanks around it")
    return built


def _is_carried(value: str, most: int | None) -> bool:
    plain = value.isascii() and value.isprintable() and value == value.strip(" ")
    return bool(value) and plain and (most is None or len(value) <= most)
