"""Ids by the thousand: ULIDs of one millisecond that follow each other, so that an index grows at its end."""

from __future__ import annotations

from kirimhook.contract import ids

_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [first + second for first in _DIGITS for second in _DIGITS]
_PAIR_BITS = 10


def consecutive(prefix: str, ms: int, randomness: bytes, count: int) -> list[str]:
    """`count` ids from a random place in this millisecond on, ascending. Raises ValueError as `ids.make`."""
    if count == 1:
        return [ids.make(prefix, ms, randomness)]
    start = int.from_bytes(randomness, "big") & ~(1 << 8 * ids.RANDOM_BYTES - 1)  # room to count on
    made: list[str] = []
    while len(made) < count:
        number = start + len(made)
        head = ids.make(prefix, ms, number.to_bytes(ids.RANDOM_BYTES, "big"))[:-2]
        first = number & (1 << _PAIR_BITS) - 1
        made += [head + pair for pair in _PAIRS[first : first + count - len(made)]]
    return made
