"""The signature of a delivery: made, checked, and said which secrets it came from. Contract section 1.

`X-Kirim-Signature: t=<unix seconds>,v1=<hex>[,v1=<hex>…]`, where each `v1` is HMAC-SHA256 over
`"{t}." + body` with the bytes of one whole secret, its `whsec_` prefix included, as the key.
"""

from __future__ import annotations

import hmac
from binascii import Error as HexError
from binascii import unhexlify
from enum import StrEnum
from hashlib import sha256
from hmac import compare_digest
from typing import TYPE_CHECKING, NamedTuple, NoReturn

if TYPE_CHECKING:
    from collections.abc import Sequence

TOLERANCE = 300
"""Seconds a signature may be old, or ahead of our clock (guide, step 3)."""
MAX_HEADER_BYTES = 4096
MAX_PARTS = 32
MAX_SECRET_CHARS = 256

_MAX_TIMESTAMP_DIGITS = 15  # every such integer is exact as a float: no overflow, no rounding
_HEX_DIGITS = 64


class Secret:
    """A signing secret that does not show itself: repr, str and format give its fingerprint.

    Raises ValueError, without quoting the value, unless it is 1 to 256 printable ASCII characters
    without blanks. Equal by value, hashable, immutable, not picklable.
    """

    __slots__ = ("_fingerprint", "_key", "_keyed")

    def __init__(self, value: str) -> None:
        if not 0 < len(value) <= MAX_SECRET_CHARS:
            raise ValueError(f"a secret has 1 to {MAX_SECRET_CHARS} characters")
        if not (value.isascii() and value.isprintable()) or " " in value:
            raise ValueError("a secret is printable ASCII without blanks")
        self._key = value.encode()
        self._keyed = hmac.new(self._key, digestmod="sha256")
        self._fingerprint = sha256(self._key).hexdigest()[:12]

    @property
    def fingerprint(self) -> str:
        """First 12 hex digits of the SHA-256 of the value: fit for logs and pages."""
        return self._fingerprint

    def reveal(self) -> str:
        """The value itself."""
        return self._key.decode()

    def mac(self, message: bytes) -> bytes:
        """HMAC-SHA256 of the message, 32 bytes."""
        keyed = self._keyed.copy()  # a third cheaper than to begin with the key
        keyed.update(message)
        return keyed.digest()

    def __repr__(self) -> str:
        return f"Secret({self._fingerprint})"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)

    def __eq__(self, other: object) -> bool:
        return compare_digest(self._key, other._key) if isinstance(other, Secret) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key)

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not picklable")


class Reason(StrEnum):
    """Why a signature was refused: for the log and for `explain`, never for the reply."""

    MISSING = "missing"
    TOO_LONG = "too_long"
    TOO_MANY_PARTS = "too_many_parts"
    NO_TIMESTAMP = "no_timestamp"
    MANY_TIMESTAMPS = "many_timestamps"
    BAD_TIMESTAMP = "bad_timestamp"
    NO_SIGNATURE = "no_signature"
    BAD_SIGNATURE = "bad_signature"
    NO_SECRETS = "no_secrets"
    NO_MATCH = "no_match"
    STALE = "stale"
    FUTURE = "future"


class SignatureError(Exception):
    """This request is not authentic.

    `skew` is our clock minus the signed time in seconds, once that time could be read. `matched` holds
    the secrets that made the signature when only its time is wrong (STALE, FUTURE), else nothing.
    """

    def __init__(self, reason: Reason, skew: float | None = None, matched: tuple[Secret, ...] = ()) -> None:
        super().__init__(reason.value)
        self.reason = reason
        self.skew = skew
        self.matched = matched


class Verified(NamedTuple):
    """An authentic request: every secret that matched, and the signed time in unix seconds."""

    matched: tuple[Secret, ...]
    timestamp: int


def sign(secrets: Sequence[Secret], body: bytes, now: int) -> str:
    """The header for this body at `now` (unix seconds): one `v1` for each secret, in their order.

    Raises ValueError for no secret, for more than fit into a header, and for a time that no header carries.
    """
    if not 0 < len(secrets) < MAX_PARTS:
        raise ValueError(f"sign with 1 to {MAX_PARTS - 1} secrets")
    stamp = str(now).encode()
    if not _is_timestamp(stamp):
        raise ValueError("now is a whole number of unix seconds")
    message = b"%b.%b" % (stamp, body)
    return ",".join([f"t={now}", *(f"v1={secret.mac(message).hex()}" for secret in secrets)])


def verify(
    secrets: Sequence[Secret],
    header: str | bytes | None,
    body: bytes,
    now: float,
    tolerance: float = TOLERANCE,
) -> Verified:
    """Check the raw `body` against the signature header; `now` and `tolerance` in seconds.

    Exactly `tolerance` seconds old or ahead is accepted. Raises SignatureError, and nothing else,
    for any header and any body. Every secret is compared with every `v1`, whatever matched before.
    """
    stamp, claimed = _split(header)
    if not secrets:
        raise SignatureError(Reason.NO_SECRETS)
    message = b"%b.%b" % (stamp, body)
    matched = tuple([secret for secret in secrets if _made_by(secret, message, claimed)])
    timestamp = int(stamp)
    skew = now - timestamp
    if not matched:
        raise SignatureError(Reason.NO_MATCH, skew)
    if not -tolerance <= skew <= tolerance:  # written so that a clock that says NaN is refused
        raise SignatureError(Reason.FUTURE if skew < 0 else Reason.STALE, skew, matched)
    return Verified(matched, timestamp)


def _made_by(secret: Secret, message: bytes, claimed: list[bytes]) -> bool:
    expected = secret.mac(message)
    hit = False
    for mac in claimed:
        hit |= compare_digest(expected, mac)
    return hit


def _split(header: str | bytes | None) -> tuple[bytes, list[bytes]]:
    """The timestamp as it was written, and the decoded `v1` values."""
    if header is None:
        raise SignatureError(Reason.MISSING)
    raw = header.encode("utf-8", "replace") if isinstance(header, str) else header
    if len(raw) > MAX_HEADER_BYTES:
        raise SignatureError(Reason.TOO_LONG)
    parts = raw.split(b",")
    if len(parts) > MAX_PARTS:
        raise SignatureError(Reason.TOO_MANY_PARTS)
    stamps: list[bytes] = []
    macs: list[bytes] = []
    for part in parts:
        scheme, _, value = part.strip(b" \t").partition(b"=")
        if scheme == b"v1":
            macs.append(value)
        elif scheme == b"t":
            stamps.append(value)
    if len(stamps) != 1 or not macs or not _is_timestamp(stamps[0]):
        raise SignatureError(_malformed(raw, stamps))
    return stamps[0], _decoded(macs)


def _malformed(raw: bytes, stamps: list[bytes]) -> Reason:
    if not raw.strip(b" \t"):
        return Reason.MISSING
    if len(stamps) != 1:
        return Reason.MANY_TIMESTAMPS if stamps else Reason.NO_TIMESTAMP
    return Reason.NO_SIGNATURE if _is_timestamp(stamps[0]) else Reason.BAD_TIMESTAMP


def _is_timestamp(text: bytes) -> bool:
    """Whether it is a plain decimal integer, without leading zeros: it is the text that is signed."""
    plain = text.isdigit() and len(text) <= _MAX_TIMESTAMP_DIGITS
    return plain and (text[0] != 0x30 or len(text) == 1)


def _decoded(macs: list[bytes]) -> list[bytes]:
    try:
        decoded = [unhexlify(mac) for mac in macs if len(mac) == _HEX_DIGITS]
    except HexError:
        raise SignatureError(Reason.BAD_SIGNATURE) from None
    if len(decoded) != len(macs):
        raise SignatureError(Reason.BAD_SIGNATURE)
    return decoded
