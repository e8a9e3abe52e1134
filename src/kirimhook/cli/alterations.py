"""What programs do to a body, a secret or a message before it is verified: each undone, with its name."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from kirimhook.contract.signature import Secret

BOM = b"\xef\xbb\xbf"
PREFIX = b"whsec_"


class Signed(NamedTuple):
    """What arrived: the time of signing as it was written, the id, the body, and a well-formed signature header."""

    timestamp: bytes
    event_id: bytes
    body: bytes
    header: bytes

    @property
    def claimed(self) -> list[bytes]:
        parts = [part.strip().partition(b"=") for part in self.header.split(b",")]
        return [bytes.fromhex(value.decode()) for scheme, _, value in parts if scheme == b"v1"]


def find(secrets: Sequence[Secret], signed: Signed) -> tuple[str, list[str]] | None:
    """What happened, and what to do about it; None when no usual alteration explains the signature."""
    claimed = signed.claimed
    for secret in secrets:
        found = _find(secret, signed, claimed)
        if found is not None:
            return found
    return None


def _find(secret: Secret, signed: Signed, claimed: list[bytes]) -> tuple[str, list[str]] | None:
    key, (timestamp, event_id, body, _) = secret.reveal().encode(), signed
    for what, candidate in bodies(body):
        if _made(key, b"%b.%b" % (timestamp, candidate), claimed):
            return "this is not the body that was signed: it was changed on its way to here", [
                f"it matches {secret.fingerprint} as {what}",
                "verify the raw bytes of the request, before anything parses or decodes them",
            ]
    for what, message in messages(timestamp, event_id, body):
        if _made(key, message, claimed):
            return f"the sender signed {what}", [f"with {secret.fingerprint}; Kirim signs timestamp, dot, body"]
    for what, other in keys(key):
        if _made(other, b"%b.%b" % (timestamp, body), claimed):
            return f"the key was {what}", [f"of {secret.fingerprint}; it is the whole secret as it is, whsec_ included"]
    return None


def _made(key: bytes, message: bytes, claimed: list[bytes]) -> bool:
    made = hmac.digest(key, message, "sha256")
    return any(hmac.compare_digest(made, mac) for mac in claimed)


def bodies(body: bytes) -> Iterator[tuple[str, bytes]]:
    """What the sender may have signed, if this is what became of it on its way; never the body itself."""
    seen = {body}
    for what, candidate in (*_bytes(body), *_serialised(body)):
        if candidate not in seen:
            seen.add(candidate)
            yield what, candidate


def _bytes(body: bytes) -> Iterator[tuple[str, bytes]]:
    yield "without the byte order mark at its beginning", body.removeprefix(BOM)
    yield "with the byte order mark that it has lost", BOM + body
    yield "without the line end at its end", body.rstrip(b"\r\n")
    yield "with a line end that it has lost", body + b"\n"
    yield "without the blanks around it", body.strip()
    yield "with CRLF line ends turned back into LF", body.replace(b"\r\n", b"\n")
    yield "with LF line ends turned back into CRLF", body.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    for codec in ("latin-1", "cp1252"):
        try:
            yield f"as it was before it was read as {codec} and written as UTF-8", body.decode().encode(codec)
        except (UnicodeDecodeError, UnicodeEncodeError):
            continue


def _serialised(body: bytes) -> Iterator[tuple[str, bytes]]:
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return
    for what, separators, indent in (
        ("compact JSON", (",", ":"), None),
        ("JSON with blanks after commas and colons", (", ", ": "), None),
        ("JSON indented by 2", (",", ": "), 2),
        ("JSON indented by 4", (",", ": "), 4),
    ):
        for escaped in (False, True):
            for ordered in (False, True):
                text = _dump(data, separators, indent, escaped, ordered)
                name = f"{what}{', characters escaped' if escaped else ''}{', keys sorted' if ordered else ''}"
                yield name, text.encode("utf-8", "surrogatepass")
                yield f"{name}, slashes escaped", text.replace("/", "\\/").encode("utf-8", "surrogatepass")


def _dump(data: Any, separators: tuple[str, str], indent: int | None, escaped: bool, ordered: bool) -> str:
    return json.dumps(data, separators=separators, indent=indent, ensure_ascii=escaped, sort_keys=ordered)


def keys(secret: bytes) -> Iterator[tuple[str, bytes]]:
    """Keys that a program may have made of the secret instead of using its bytes."""
    stripped = secret.removeprefix(PREFIX)
    if stripped != secret:
        yield "the secret without its whsec_ prefix", stripped
    else:
        yield "the secret with a whsec_ prefix in front", PREFIX + secret
    for what, decode in (("base64", base64.b64decode), ("url-safe base64", base64.urlsafe_b64decode)):
        try:
            yield f"the {what}-decoded secret", decode(stripped + b"=" * (-len(stripped) % 4))
        except (binascii.Error, ValueError):
            continue
    yield "the secret with a line end behind it", secret + b"\n"


def messages(timestamp: bytes, event_id: bytes, body: bytes) -> Iterator[tuple[str, bytes]]:
    """What a sender may sign instead of timestamp, dot and body."""
    yield "the body alone, without the timestamp", body
    yield "timestamp and body without the dot between them", timestamp + body
    yield "event id, timestamp and body, as Standard Webhooks does", b"%b.%b.%b" % (event_id, timestamp, body)
