"""Invariant: for any headers and any body

- `headers.parse` and `events.read` return, they never raise;
- `verify` returns the secrets that really made the signature, or raises SignatureError and nothing else;
- `events.signed_identity` names an id that is in the body, or refuses; `dedupe_key` is 16 or 32 bytes.

    python fuzz/fuzz_verify.py -runs=200000
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
with atheris.instrument_imports(include=["kirimhook"]):
    from kirimhook.contract import events, headers
    from kirimhook.contract.signature import Reason, Secret, SignatureError, Verified, verify

from fuzz import wire

CLAIMED = re.compile(rb"(?:\A|,)[ \t]*v1=([0-9a-fA-F]{64})(?=[ \t]*(?:,|\Z))")
SECRETS = tuple(Secret(value) for value in wire.SECRETS)


def check_verified(verified: Verified, header: bytes, body: bytes) -> None:
    """By another reading of the header: the stated secrets, and no others, signed this body."""
    claimed = {value.lower() for value in CLAIMED.findall(header)}
    stamp = b"%d" % verified.timestamp
    made = [secret for secret in SECRETS if wire.mac(secret.reveal(), stamp, body) in claimed]
    if list(verified.matched) != made or not made or abs(wire.CLOCK - verified.timestamp) > 300:
        raise wire.BrokenInvariantError(f"verified by {verified.matched}, made by {made} at {verified.timestamp}")


def check_signature(header: bytes | None, body: bytes) -> None:
    try:
        verified = verify(SECRETS, header, body, wire.CLOCK)
    except SignatureError as error:
        if error.reason not in Reason or (error.matched and error.reason not in (Reason.STALE, Reason.FUTURE)):
            raise wire.BrokenInvariantError(f"{error.reason} with {error.matched}") from error
    else:
        check_verified(verified, header or b"", body)


def check_identity(read: headers.DeliveryHeaders, body: bytes) -> None:
    reading = events.read(body)
    signed = events.signed_identity(read, reading)
    if signed is not None and not {signed, read.event_id} <= set(reading.ids):
        raise wire.BrokenInvariantError(f"{signed!r} or {read.event_id!r} is not in the body")
    if reading.ordering_key is not None and not 0 < len(reading.ordering_key.encode()) <= 256:
        raise wire.BrokenInvariantError(f"ordering key {reading.ordering_key!r}")
    key = events.dedupe_key(reading.source, read.event_id, read.event_type, body)
    if len(key) != (32 if read.event_type == events.MESSAGE_STATUS else 16):
        raise wire.BrokenInvariantError(f"dedupe key of {len(key)} bytes")


def one_input(data: bytes) -> None:
    request = wire.request(data)
    read = headers.parse(request.headers)
    check_signature(read.signature, request.body)
    check_identity(read, request.body)


if __name__ == "__main__":
    wire.fuzz(one_input)
