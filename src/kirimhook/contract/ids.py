"""Identifiers: a prefix that says of what, and a ULID. Contract section 5.

A ULID is 48 bits of time and 80 of randomness, as 26 characters of Crockford's base 32.
"""

from __future__ import annotations

import re
from typing import NewType

SubscriptionId = NewType("SubscriptionId", str)
SecretId = NewType("SecretId", str)
DeliveryId = NewType("DeliveryId", str)
EventId = NewType("EventId", str)
RequestId = NewType("RequestId", str)

SUBSCRIPTION = "wbs_"
SECRET = "sec_"  # noqa: S105  # the prefix of a secret's id
DELIVERY = "wbd_"
EVENT = "evt_"
REQUEST = "req_"

RANDOM_BYTES = 10

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's: no I, L, O, U
_LENGTH = 26
_ULID = re.compile(f"[{_ALPHABET}]{{{_LENGTH}}}")


def make(prefix: str, ms: int, randomness: bytes) -> str:
    """An id of this kind for a moment in milliseconds since the epoch and 10 random bytes.

    Ids of a later millisecond sort after those of an earlier one. Raises ValueError for a time past 48 bits
    or another amount of randomness.
    """
    if not 0 <= ms < 1 << 48 or len(randomness) != RANDOM_BYTES:
        raise ValueError(f"an id takes a time of 48 bits and {RANDOM_BYTES} random bytes")
    number = ms << 80 | int.from_bytes(randomness, "big")
    digits = [_ALPHABET[number >> shift & 31] for shift in range(5 * (_LENGTH - 1), -1, -5)]
    return prefix + "".join(digits)


def is_id(prefix: str, text: str) -> bool:
    """Whether the text is an id of this kind."""
    return text.startswith(prefix) and _ULID.fullmatch(text, len(prefix)) is not None
