"""A verifier that shares nothing with ours: contract section 1 read literally, the HMAC by the `openssl` command."""

from __future__ import annotations

import subprocess
from typing import NamedTuple

TOLERANCE = 300


class Judged(NamedTuple):
    """Which of the secrets made a `v1` of the header, and how many `v1` there are."""

    matched: frozenset[str]
    signatures: int


class Refused(Exception):
    """The header, or its age, is not what section 1 allows."""


def mac(secret: str, message: bytes) -> str:
    """Lowercase hex of HMAC-SHA256, the key being the UTF-8 bytes of the whole secret."""
    command = ["openssl", "dgst", "-sha256", "-mac", "HMAC", "-macopt", f"hexkey:{secret.encode().hex()}", "-hex"]
    done = subprocess.run(command, input=message, capture_output=True, check=True, timeout=30)
    return done.stdout.decode().split()[-1]


def judge(header: str, body: bytes, arrived: float, secrets: list[str]) -> Judged:
    """Raises `Refused` for a header that is not `t=<unix seconds>,v1=<hex>[,v1=<hex>…]`, or is out of time."""
    parts = [part.split("=", 1) for part in header.split(",")]
    stamps = [value for name, value in parts if name == "t"]
    signatures = {value for name, value in parts if name == "v1"}
    if len(stamps) != 1 or not signatures or {name for name, _ in parts} != {"t", "v1"}:
        raise Refused(f"not a signature: {header}")
    if abs(arrived - int(stamps[0])) > TOLERANCE:
        raise Refused(f"signed at {stamps[0]}, arrived at {arrived}")
    message = stamps[0].encode() + b"." + body
    return Judged(frozenset(secret for secret in secrets if mac(secret, message) in signatures), len(signatures))
