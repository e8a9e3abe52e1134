"""Bodies of requests and answers as text for a page: whatever they are, and nothing but text."""

from __future__ import annotations

import json
import re
from typing import NamedTuple

MOST = 64 * 1024
"""Bytes of a body that a page shows."""
_MOST_PRETTY = 4 * MOST
"""Characters: deep nesting makes more blanks than text."""
_DEEPEST = 100

_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Control characters, but for the tab and the end of a line; and those that turn the direction of what follows."""
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')


class Body(NamedTuple):
    """What is shown of a body. It goes into a template as text, where it is escaped."""

    text: str
    """As it is, in UTF-8; what is no character is U+FFFD, and what cannot be seen is written as an escape."""
    pretty: str | None
    """The same JSON, indented; None where it is no JSON, or not all of it is there."""
    is_cut: bool
    """There is more than is shown."""


def shown(body: bytes, size: int | None = None) -> Body:
    """At most `MOST` bytes of it. `size`: of all, in bytes, where `body` is the beginning only."""
    is_cut = len(body) > MOST or (size is not None and size > len(body))
    text = body[:MOST].decode("utf-8", "ignore" if is_cut and _breaks_off(body[:MOST]) else "replace")
    return Body(visible(text), None if is_cut else pretty(text), is_cut)


def visible(text: str) -> str:
    """With escapes for what cannot be seen, or would show the rest in another order than it has."""
    return _UNSEEN.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def pretty(text: str) -> str | None:
    """JSON, indented by two blanks: its tokens are untouched, so no digit, escape or repeated name is lost.

    None where it is no JSON object or array, or is nested so deep that nobody would read it.
    """
    if text.lstrip()[:1] not in {"{", "["}:
        return None
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return None
    return _indented(_TOKEN.findall(text))


def _indented(tokens: list[str]) -> str | None:
    made: list[str] = []
    depth = length = 0
    for mark, following in zip(tokens, [*tokens[1:], ""], strict=True):
        closes = mark in {"}", "]"}
        depth += (mark in {"{", "["}) - closes
        piece = mark + (" " if mark == ":" else "")
        empty = mark in {"{", "["} and following in {"}", "]"}
        ends = mark == "," or (mark in {"{", "["} and not empty)
        if ends or (following in {"}", "]"} and not empty):
            piece += "\n" + "  " * (depth - (following in {"}", "]"}))
        length += len(piece)
        if depth > _DEEPEST or length > _MOST_PRETTY:
            return None
        made.append(piece)
    return visible("".join(made))


def _breaks_off(part: bytes) -> bool:
    """Whether it is UTF-8 but for a character that was cut in two at its end."""
    try:
        part.decode()
    except UnicodeDecodeError as error:
        return error.reason == "unexpected end of data"
    return False
