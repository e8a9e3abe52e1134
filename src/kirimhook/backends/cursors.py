"""The cursor of a list: where it goes on, bound to the filter that it was made with."""

from __future__ import annotations

import base64
import hashlib

from kirimhook.receiver.inbox import Filter


def write_cursor(where: Filter, number: int) -> str:
    """Of a list that goes on below this number."""
    return base64.urlsafe_b64encode(number.to_bytes(8, "big") + _seal(where, number)).decode().rstrip("=")


def read_cursor(where: Filter, cursor: str) -> int:
    """Raises ValueError for a cursor of another list."""
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    except ValueError:
        raw = b""
    number = int.from_bytes(raw[:8], "big", signed=True)
    if len(raw) != 16 or raw[8:] != _seal(where, number) or number < 0 or write_cursor(where, number) != cursor:
        raise ValueError("this cursor is not of this list: start again without one")
    return number


def _seal(where: Filter, number: int) -> bytes:
    """Keeps mistakes out, not attackers, who may list anything anyway."""
    span = (where.received_after, where.received_before, where.above, where.below, where.ordering_key)
    rest = (where.types, where.event_id, where.numbers, *span)
    return hashlib.blake2b(repr((sorted(where.states), rest, number)).encode(), digest_size=8).digest()
