"""The vectors as test parameters, and oracles that share no code with what they judge."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

VECTORS = Path(__file__).parent / "vectors"


def content(body: Any) -> bytes:
    """The bytes a body in the vectors stands for (see vectors/README.md)."""
    if isinstance(body, str):
        return body.encode()
    if "base64" in body:
        return base64.b64decode(body["base64"])
    return b"".join(piece.encode() * times for piece, times in body["repeat"])


def header(value: Any) -> bytes | None:
    """A header's bytes as they arrive."""
    return None if value is None else content(value)


def file(name: str) -> dict[str, Any]:
    vectors: dict[str, Any] = json.loads((VECTORS / f"{name}.json").read_text("utf-8"))
    return vectors


def cases(name: str, *groups: str) -> list[Any]:
    """Every case of these groups as a parameter that bears the case's name."""
    found = file(name)
    return [pytest.param(case, id=case["name"]) for group in groups or ("cases",) for case in found[group]]


def hmac_sha256(key: bytes, message: bytes) -> str:
    """RFC 2104, from its definition."""
    block = (hashlib.sha256(key).digest() if len(key) > 64 else key).ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block) + message).digest()
    return hashlib.sha256(bytes(byte ^ 0x5C for byte in block) + inner).hexdigest()
