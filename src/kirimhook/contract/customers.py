"""Whose data a body holds: whether it mentions one customer's phone number. For erasing on request.

A number is its digits with the country code (E.164), however it is written: `+62 812-3456-7890`, `6281234567890`,
`tel:+62…`, `62…@s.whatsapp.net`. A body mentions it where a value or a key of its JSON is that number, and where a
message id (`wamid.…`) holds it: those are base64 around the number. A text that merely contains the number is
somebody's message about it, and does not count. Nor does the business's own number, or its erasure would be
everybody's.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import TYPE_CHECKING, Any, NewType

if TYPE_CHECKING:
    from collections.abc import Iterator

Number = NewType("Number", str)
"""Digits alone, the country code first."""

LEAST_DIGITS = 7
MOST_DIGITS = 15
"""Of E.164, the country code included."""

_WRITTEN = re.compile(
    r"(?:(?:tel|sms|whatsapp):)?"
    r"(?P<number>[\d\s+\-.()/\u2010-\u2015\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]+)"  # and what copying leaves
    r"(?:@(?:s\.whatsapp\.net|c\.us))?",
    re.IGNORECASE,
)
_TRUNK = re.compile(r"\(0\)")
_NO_DIGIT = re.compile(r"\D")
_MESSAGE_ID = re.compile(r"wamid\.([A-Za-z0-9+/_-]+)=*")
_OF_URLS = str.maketrans("-_", "+/")
"""Base64's other two signs, in an alphabet for URLs."""
_MOST_WRITTEN = 64
"""Characters: what is longer is no number."""
_OF_THE_BUSINESS = frozenset({"display_phone_number", "phone_number_id", "whatsapp_account"})


def number(said: str) -> Number:
    """The number that somebody wrote. Raises ValueError for what is none, which is not quoted."""
    digits = _digits(said)
    if digits is None or not LEAST_DIGITS <= len(digits) <= MOST_DIGITS:
        raise ValueError(f"a phone number has {LEAST_DIGITS} to {MOST_DIGITS} digits, as in +6281234567890")
    if digits.startswith("0"):
        raise ValueError("a phone number begins with its country code, as in +6281234567890")
    return Number(digits)


def masked(customer: Number) -> str:
    """The number for a report that others may read: its last three digits."""
    return f"…{customer[-3:]}"


def mentions(body: bytes, customer: Number) -> bool:
    """Whether this body is about the customer. Never raises.

    One that is not JSON mentions the number where its text contains it: better one too many than one left.
    """
    try:
        payload = json.loads(body, object_pairs_hook=_Pairs, parse_int=str, parse_float=_float)
    except (ValueError, RecursionError, MemoryError):
        return _contains(body.decode("utf-8", "replace"), customer)
    return any(is_named_by(text, customer) for text in _texts(payload))


def is_named_by(text: str, customer: Number) -> bool:
    """Whether this one text, a value or an event's id, is the number or a message id around it."""
    if text.startswith("wamid."):
        return _is_inside(text, customer)
    return _digits(text) == customer


class _Pairs(tuple[tuple[str, Any], ...]):
    """An object with all of its members: of two of one name, JSON's usual reading drops the first."""

    __slots__ = ()


def _float(literal: str) -> str:
    return re.sub(r"\.0+\Z", "", literal)


def _texts(payload: object) -> Iterator[str]:
    """Every key, text and number in it, but those of the business."""
    waiting = [payload]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, _Pairs):
            kept = [(key, held) for key, held in value if key not in _OF_THE_BUSINESS]
            yield from (key for key, _ in kept)
            waiting += [held for _, held in kept]
        elif isinstance(value, list):
            waiting += value


def _digits(text: str) -> str | None:
    """The digits of a text that is a number and nothing else."""
    if len(text) > _MOST_WRITTEN or (match := _WRITTEN.fullmatch(text.strip())) is None:
        return None
    digits = _NO_DIGIT.sub("", _TRUNK.sub("", match["number"]))
    plain = "".join([str(int(digit)) for digit in digits])  # `\d` is any script's
    return plain.removeprefix("00") or None


def _is_inside(message_id: str, customer: Number) -> bool:
    match = _MESSAGE_ID.match(message_id)
    if match is None:
        return False
    plain = match[1].translate(_OF_URLS)
    try:
        held = base64.b64decode(plain + "=" * (-len(plain) % 4))
    except (binascii.Error, ValueError):
        return False
    return re.search(rb"(?<!\d)" + customer.encode() + rb"(?!\d)", held) is not None


def _contains(text: str, customer: Number) -> bool:
    spread = r"[\s\-.()/]*".join(customer)
    return re.search(rf"(?<!\d){spread}(?!\d)", text) is not None
