"""A call of the API as a value: what is sent, and how what comes back is read. No I/O."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import Enum, StrEnum
from typing import Any, Generic, TypeVar
from urllib.parse import quote, urlencode

from kirimhook.client.answers import Answer
from kirimhook.client.errors import ArgumentError
from kirimhook.contract.headers import CONTENT_TYPE, JSON_CONTENT_TYPE

T = TypeVar("T")

IDEMPOTENCY_KEY = "Idempotency-Key"
MAX_KEY_CHARS = 255


class Unset(Enum):
    """Stands for what is not given, where None means something."""

    UNSET = "unset"


UNSET = Unset.UNSET


class Use(StrEnum):
    """What the API counts a call as when it limits how often it is called. Contract section 5."""

    READ = "read"
    WRITE = "write"
    EVENTS = "events"


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """Every call may be sent again: what is not idempotent by its method carries an Idempotency-Key."""

    method: str
    path: str
    """Below `/v1`."""
    read: Callable[[Answer], T]
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None

    @property
    def target(self) -> str:
        """Path and query."""
        return f"{self.path}?{urlencode(self.query)}" if self.query else self.path

    @property
    def use(self) -> Use:
        if self.method == "GET":
            return Use.READ
        return Use.EVENTS if self.path == "/events" else Use.WRITE

    def asking(self, **more: str) -> Call[T]:
        """The same call with these parameters in its query."""
        return replace(self, query={**self.query, **more})


def get(path: str, read: Callable[[Answer], T], **query: object) -> Call[T]:
    """Parameters that are None are left out. Raises ArgumentError for a moment without an offset."""
    return Call("GET", path, read, {name: _written(value) for name, value in query.items() if value is not None})


def post(
    path: str,
    read: Callable[[Answer], T],
    body: Mapping[str, object] | bytes | None,
    idempotency_key: str | None,
    headers: Mapping[str, str] | None = None,
) -> Call[T]:
    """Of an object, fields that are None are left out; bytes are sent as they are.

    Without an idempotency key one is made. Raises ArgumentError for a key or a header that cannot travel, and for what
    is no JSON.
    """
    sent = body if body is None or isinstance(body, bytes) else as_json(body)
    typed = {} if sent is None else {CONTENT_TYPE: JSON_CONTENT_TYPE}
    for name, value in (headers or {}).items():
        if not (value.isascii() and value.isprintable()):
            raise ArgumentError(f"{name} has printable ASCII characters and no others")
    more = {**typed, IDEMPOTENCY_KEY: _key(idempotency_key), **(headers or {})}
    return Call("POST", path, read, headers=more, body=sent)


def patch(path: str, read: Callable[[Answer], T], body: Mapping[str, object]) -> Call[T]:
    """Fields that are UNSET are left out."""
    given = {name: value for name, value in body.items() if value is not UNSET}
    return Call("PATCH", path, read, headers={CONTENT_TYPE: JSON_CONTENT_TYPE}, body=_encoded(given))


def delete(path: str, read: Callable[[Answer], T]) -> Call[T]:
    return Call("DELETE", path, read)


def segment(identifier: str) -> str:
    """An id as a part of a path. Raises ArgumentError for what would be another path."""
    if not identifier.strip(".") or not identifier.isprintable():
        raise ArgumentError(f"{identifier!r} is no id")
    return quote(identifier, safe="")


def as_json(body: Mapping[str, object]) -> bytes:
    """As a JSON object, without the fields that are None. Raises ArgumentError for what is no JSON."""
    return _encoded({name: value for name, value in body.items() if value is not None})


def _encoded(body: Mapping[str, object]) -> bytes:
    plain = {name: _plain(value) for name, value in body.items()}
    try:
        text = json.dumps(plain, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ArgumentError(f"it cannot be written as JSON: {error}") from None
    return text.encode("utf-8", "surrogatepass")  # half a character is for the API to refuse


def _plain(value: object) -> Any:
    if isinstance(value, datetime):
        return _written(value)
    return list(value) if isinstance(value, tuple) else value


def _written(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case datetime():
            if value.tzinfo is None:
                raise ArgumentError("a moment needs an offset: datetime.now(UTC), not datetime.now()")
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case _:
            return _text(str(value))


def _text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ArgumentError("half a character is no text") from None
    return text


def _key(given: str | None) -> str:
    key = uuid.uuid4().hex if given is None else given
    if not (0 < len(key) <= MAX_KEY_CHARS and key.isascii() and key.isprintable()):
        raise ArgumentError(f"an idempotency key has 1 to {MAX_KEY_CHARS} printable ASCII characters")
    return key
