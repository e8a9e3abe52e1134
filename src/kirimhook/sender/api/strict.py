"""JSON as callers have to write it: one reading, and no text that a database could not hold."""

from __future__ import annotations

import asyncio
import json
import math
import re
from typing import Any, NoReturn

from kirimhook.contract.errors import ApiError
from kirimhook.contract.events import LARGE

MAX_DEPTH = 100
"""Objects and lists within each other."""
_MAX_SHOWN = 64
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def invalid(message: str) -> ApiError:
    return ApiError("invalid_json", message)


def _no_constant(constant: str) -> NoReturn:
    raise invalid(f"{constant} is no JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise invalid("a number is too large to hold")
    return number


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read = dict(pairs)
    if len(read) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise invalid(f"the field {twice[:_MAX_SHOWN]!a} is there more than once")
    return read


_decode = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_no_constant, parse_float=_finite).decode


def loads(body: bytes) -> Any:
    """The value that the bytes spell. Raises ApiError `invalid_json`, and nothing else.

    Refused beside what is no JSON: a field twice in an object, NaN and Infinity, a number too large to hold,
    half a surrogate pair, more than 100 levels.
    """
    try:
        value = _decode(body.decode())
    except UnicodeDecodeError:
        raise invalid("the body is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise invalid(f"the body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise invalid(f"the body is nested more than {MAX_DEPTH} levels deep") from None
    except ValueError:  # an integer of more digits than Python converts
        raise invalid("a number is too large to hold") from None
    except MemoryError:
        raise invalid("the body is too large to parse") from None
    if body.count(b"{") + body.count(b"[") > MAX_DEPTH:
        _check_depth(value)
    if _SURROGATE.search(body):
        _check_text(value)
    return value


async def loads_aside(body: bytes) -> Any:
    """The same; a large body is parsed in a thread, so that nobody else waits for it."""
    return loads(body) if len(body) < LARGE else await asyncio.to_thread(loads, body)


def _check_depth(value: Any) -> None:
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH + 1:
            raise invalid(f"the body is nested more than {MAX_DEPTH} levels deep")
        level = [child for parent in level for child in _children(parent)]


def _children(parent: Any) -> list[Any]:
    if not isinstance(parent, dict | list):
        return []
    children = parent.values() if isinstance(parent, dict) else parent
    return [child for child in children if isinstance(child, dict | list)]


def _check_text(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise invalid("a text holds half a surrogate pair") from None


def canonical(value: Any) -> bytes:
    """The same bytes for the same value, however it was spelt."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()
