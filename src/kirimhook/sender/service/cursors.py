"""Where a list goes on: opaque, tamper-evident, and good only for the list that it was given with.

A cursor is the position of the last item, under a MAC that covers organisation, list and filters as well. It holds
no filter, so it cannot change one. Contract section 5: anything else is 400 `invalid_cursor`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Sequence
from typing import NoReturn

from kirimhook.contract.errors import ApiError

MAX_CHARS = 512
"""A longer one is none of ours."""

_MAC_BYTES = 16


class Cursors:
    """Made under the first key, read under any: cursors live through a change of the master key.

    Raises ValueError without a key.
    """

    __slots__ = ("_keys",)

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys or not all(keys):
            raise ValueError("cursors need a key")
        self._keys = tuple(keys)

    def make(self, position: str, *bound: object) -> str:
        """For the items behind `position`. `bound`: all that says which list it is, of JSON's kinds."""
        encoded = position.encode()
        return base64.urlsafe_b64encode(_mac(self._keys[0], encoded, bound) + encoded).rstrip(b"=").decode()

    def read(self, cursor: str | None, *bound: object) -> str | None:
        """The position; None where there is no cursor. Raises ApiError `invalid_cursor`."""
        if cursor is None:
            return None
        raw = _decoded(cursor)
        mac, encoded = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
        if not any(hmac.compare_digest(mac, _mac(key, encoded, bound)) for key in self._keys):
            _refuse()
        return encoded.decode()


def _mac(key: bytes, position: bytes, bound: tuple[object, ...]) -> bytes:
    said = json.dumps(bound, separators=(",", ":")).encode()
    message = b"cursor\n" + len(said).to_bytes(8, "big") + said + position
    return hmac.new(key, message, hashlib.sha256).digest()[:_MAC_BYTES]


def _decoded(cursor: str) -> bytes:
    try:
        raw = base64.b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except ValueError:
        _refuse()
    canonical = base64.urlsafe_b64encode(raw).rstrip(b"=").decode() == cursor  # one text for one cursor
    if not canonical or len(raw) <= _MAC_BYTES or len(cursor) > MAX_CHARS:
        _refuse()
    return raw


def _refuse() -> NoReturn:
    message = "The cursor is not one that was given with this list and these filters."
    raise ApiError("invalid_cursor", message, param="cursor")
