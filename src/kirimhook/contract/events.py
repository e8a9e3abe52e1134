"""What a body says about its event: kind, identity, ordering key. Contract section 3.

The body is read once, at arrival. Whatever it is, it can be read: what makes no sense is left empty,
and what cannot be parsed at all is named in `Reading.problem`.
"""

from __future__ import annotations

import json
import math
import re
from datetime import UTC
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, TypeGuard

from kirimhook.contract.headers import MAX_VALUE_BYTES, DeliveryHeaders

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

MESSAGE_RECEIVED = "message.received"
MESSAGE_STATUS = "message.status"
DOCUMENTED_TYPES = (
    MESSAGE_RECEIVED,
    MESSAGE_STATUS,
    "conversation.assigned",
    "conversation.closed",
    "contact.created",
    "contact.updated",
)
META = "meta"
KIRIM = "kirim"
MAX_TYPE_CHARS = 64
MAX_ORDERING_KEY_CHARS = 256
LARGE = 64 * 1024
"""Bytes of a body that is worth reading in a thread."""

_TYPE = re.compile(r"[a-z0-9_]+(?:\.[a-z0-9_]+)+")
_KINDS = (("messages", MESSAGE_RECEIVED), ("statuses", MESSAGE_STATUS))


class Identity(StrEnum):
    """What an event is deduplicated by: the id its header gives, or the one its signed body holds."""

    HEADER = "header"
    SIGNED = "signed"


class Problem(StrEnum):
    """Why a body cannot be parsed."""

    NOT_UTF8 = "not UTF-8"
    NOT_JSON = "not JSON"
    TOO_DEEP = "nested too deep"
    ABSURD_NUMBER = "a number too large to hold"
    NOT_AN_OBJECT = "not a JSON object"
    NO_MEMORY = "no memory to parse it"


class UnreadableError(ValueError):
    """The body cannot be parsed; `problem` says why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.value)
        self.problem = problem


class Reading(NamedTuple):
    """What a body says, as far as it says it.

    `source`: "meta", "kirim" or "". `ids`: of the event, its messages and statuses, in order. `types`: what
    the body can be, first one first: the type of a kirim envelope; `message.received`, `message.status` or
    both for meta. `livemode` is False only where the body says so.
    """

    source: str
    ids: tuple[str, ...]
    types: tuple[str, ...]
    ordering_key: str | None
    livemode: bool
    problem: str | None


def is_type(name: str) -> bool:
    """Whether this is an event type's name: `noun.verb` in `[a-z0-9_.]`, at most 64 characters."""
    return len(name) <= MAX_TYPE_CHARS and _TYPE.fullmatch(name) is not None


def _not_json(_constant: str) -> NoReturn:
    raise UnreadableError(Problem.NOT_JSON)


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise UnreadableError(Problem.ABSURD_NUMBER)
    return number


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return dict(pairs)


_decode = json.JSONDecoder(parse_constant=_not_json, parse_float=_finite).decode
_decode_in_turns = json.JSONDecoder(parse_constant=_not_json, parse_float=_finite, object_pairs_hook=_object).decode
"""With a call of Python for each object, other threads get their turn; else 4 MiB hold them up for 40 ms."""


def parse(body: bytes) -> dict[str, Any]:
    """The JSON object in the body. Raises UnreadableError, and nothing else, where there is none."""
    try:
        decode = _decode if len(body) < LARGE else _decode_in_turns
        payload = decode(body.decode())
    except UnicodeDecodeError:
        raise UnreadableError(Problem.NOT_UTF8) from None
    except (json.JSONDecodeError, UnreadableError) as error:
        raise UnreadableError(getattr(error, "problem", Problem.NOT_JSON)) from None
    except ValueError:  # an integer of more digits than Python converts
        raise UnreadableError(Problem.ABSURD_NUMBER) from None
    except RecursionError:
        raise UnreadableError(Problem.TOO_DEEP) from None
    except MemoryError:
        raise UnreadableError(Problem.NO_MEMORY) from None
    if not isinstance(payload, dict):
        raise UnreadableError(Problem.NOT_AN_OBJECT)
    return payload


def envelope(
    event_id: str, event_type: str, created_at: datetime, data: dict[str, Any], *, livemode: bool = True
) -> bytes:
    """The body of an event of kirim: compact JSON in UTF-8, the moment in whole seconds of UTC.

    Raises ValueError for a name that is no type and for data that JSON cannot hold (NaN, lone surrogates),
    TypeError for data of other types.
    """
    if not is_type(event_type):
        raise ValueError("an event type is noun.verb in [a-z0-9_.], at most 64 characters")
    moment = f"{created_at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    said = {"id": event_id, "type": event_type, "created_at": moment, "livemode": livemode, "data": data}
    return encode(said)


def encode(payload: dict[str, Any]) -> bytes:
    """The bytes of a JSON object, the same everywhere: its own key order, no blanks, UTF-8. Raises as `envelope`."""
    return json.dumps(payload, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def read(body: bytes) -> Reading:
    """Parse the body once and say what it holds. Never raises."""
    try:
        payload = parse(body)
    except UnreadableError as error:
        return Reading("", (), (), None, True, error.problem)
    if isinstance(payload.get("entry"), list):
        return _read_meta(payload)
    return _read_envelope(payload)


def _read_envelope(payload: dict[str, Any]) -> Reading:
    name, event_id = payload.get("type"), payload.get("id")
    types = (name,) if _is_nameable(name) else ()
    return Reading(
        KIRIM if types else "",
        (event_id,) if _is_nameable(event_id) else (),
        types,
        _envelope_key(payload.get("data")),
        payload.get("livemode") is not False,
        None,
    )


def _read_meta(payload: dict[str, Any]) -> Reading:
    ids: list[str] = []
    types: list[str] = []
    key: str | None = None
    for value, name, item in _items(payload):
        if not types:
            key = _meta_key(value, item)
        if name not in types:
            types.append(name)
        identifier = item.get("id")
        if _is_nameable(identifier):
            ids.append(identifier)
    return Reading(META, tuple(ids), tuple(types), key, True, None)


def _is_nameable(value: object) -> TypeGuard[str]:
    """Whether a header could carry it as it is: an id or type that none could does not count."""
    return isinstance(value, str) and 0 < len(value) <= MAX_VALUE_BYTES and value.isascii() and value.isprintable()


def _meta_key(value: dict[str, Any], item: dict[str, Any]) -> str | None:
    metadata = value.get("metadata")
    if not isinstance(metadata, dict):
        return None
    business = metadata.get("phone_number_id") or metadata.get("display_phone_number")
    # a customer with a username can come without a phone number, by a user id alone
    customer = item.get("from") or item.get("recipient_id") or item.get("from_user_id") or item.get("recipient_user_id")
    if not (isinstance(business, str) and isinstance(customer, str)):
        return None
    return _key(f"wa:{business}:{customer}")


def _envelope_key(data: object) -> str | None:
    for noun in ("conversation", "contact"):
        thing = data.get(noun) if isinstance(data, dict) else None
        identifier = thing.get("id") if isinstance(thing, dict) else None
        if identifier and isinstance(identifier, str):
            return _key(f"{noun}:{identifier}")
    return None


def _key(text: str) -> str:
    """The key as it is, or its digest where it is too long or not printable ASCII (NUL, lone surrogates)."""
    if len(text) <= MAX_ORDERING_KEY_CHARS and text.isascii() and text.isprintable():
        return text
    return "sha256:" + sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _items(payload: object) -> Iterator[tuple[dict[str, Any], str, dict[str, Any]]]:
    """Every message and status with the change value around it and the type it makes, in document order."""
    for entry in _objects(payload, "entry"):
        for change in _objects(entry, "changes"):
            value = change.get("value")
            for field, name in _KINDS:
                for item in _objects(value, field):
                    yield value, name, item  # type: ignore[misc]  # a value with items is an object


def _objects(parent: object, field: str) -> list[dict[str, Any]]:
    children = parent.get(field) if isinstance(parent, dict) else None
    return [child for child in children if isinstance(child, dict)] if isinstance(children, list) else []


def messages(payload: object) -> Iterator[dict[str, Any]]:
    """Every message of a meta body, of all its entries and changes, in order; none for any other shape."""
    return (item for _, name, item in _items(payload) if name == MESSAGE_RECEIVED)


def statuses(payload: object) -> Iterator[dict[str, Any]]:
    """Every status of a meta body, of all its entries and changes, in order; none for any other shape."""
    return (item for _, name, item in _items(payload) if name == MESSAGE_STATUS)


def dedupe_key(source: str, event_id: str, event_type: str, body: bytes) -> bytes:
    """The identity of an event: 16 bytes, or 32 for `message.status`, whose three statuses share one id.

    First half of SHA-256(source, newline, event id); for a status followed by that of SHA-256(body).
    """
    named = sha256(f"{source}\n{event_id}".encode("utf-8", "surrogatepass")).digest()[:16]
    return named + sha256(body).digest()[:16] if event_type == MESSAGE_STATUS else named


def signed_identity(headers: DeliveryHeaders, reading: Reading) -> str | None:
    """The id to deduplicate by under `identity="signed"`, or None when the request must be refused.

    The header's id must be one of the body's; the source, if given, and the type must agree with the body
    (which of several a meta body is, its first item says). The answer is always the body's first id, so that
    a captured body of several ids is not a new event under each of them.
    """
    if headers.event_id not in reading.ids or not reading.types:
        return None
    if headers.source and headers.source != reading.source:
        return None
    if not _agrees(headers.event_type, reading):
        return None
    return reading.ids[0]


def _agrees(event_type: str, reading: Reading) -> bool:
    first = reading.types[0]
    if reading.source == KIRIM or first == MESSAGE_STATUS:
        return event_type == first
    return event_type != MESSAGE_STATUS
