"""An answer, and how it is read: one resource, a page of them, nothing, a document. No I/O."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from kirimhook.client.errors import UnexpectedAnswer
from kirimhook.contract.codec import MalformedError, Resource

T = TypeVar("T")
R = TypeVar("R", bound=Resource)

MAX_BYTES = 8 * 1024 * 1024
"""An answer may have. The longest of ours, a page of 100 deliveries, has a fraction of it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`headers` by their lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_success(self) -> bool:
        return 200 <= self.status <= 299

    @property
    def request_id(self) -> str | None:
        return self.headers.get("x-request-id")

    def unexpected(self, why: str) -> UnexpectedAnswer:
        return UnexpectedAnswer(f"it answered {self.status} and {why}", status=self.status, request_id=self.request_id)


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list. `next_cursor` is None on the last one; a page may be empty and not be the last."""

    items: tuple[T, ...]
    next_cursor: str | None


def one(kind: type[R]) -> Callable[[Answer], R]:
    """Reads `{"data": {…}}`."""

    def read(answer: Answer) -> R:
        return _resource(kind, _object(answer).get("data"), answer, "data")

    return read


def page(kind: type[R]) -> Callable[[Answer], Page[R]]:
    """Reads `{"data": […], "has_more", "next_cursor"}`."""

    def read(answer: Answer) -> Page[R]:
        body = _object(answer)
        items = body.get("data")
        if not isinstance(items, list):
            raise answer.unexpected("its data is no list")
        found = tuple([_resource(kind, item, answer, f"data.{place}") for place, item in enumerate(items)])
        return Page(found, _next_cursor(body, answer))

    return read


def nothing(answer: Answer) -> None:
    """Reads an answer that has nothing to say."""


def document(answer: Answer) -> dict[str, Any]:
    """Reads a JSON object as it is."""
    return _object(answer)


def _next_cursor(body: dict[str, Any], answer: Answer) -> str | None:
    cursor, has_more = body.get("next_cursor"), body.get("has_more")
    if has_more is False or (cursor is None and not has_more):
        return None
    if not isinstance(cursor, str) or not cursor:
        raise answer.unexpected("there is more, without a cursor to it")
    return cursor


def _resource(kind: type[R], data: object, answer: Answer, where: str) -> R:
    try:
        return kind.from_json(data)
    except MalformedError as error:
        raise answer.unexpected(str(error.under(where))) from None


def _object(answer: Answer) -> dict[str, Any]:
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError, MemoryError):
        raise answer.unexpected("no JSON") from None
    if not isinstance(found, dict):
        raise answer.unexpected("no JSON object")
    return found
