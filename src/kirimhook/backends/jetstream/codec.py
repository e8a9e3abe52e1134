"""An event as a message: one line of JSON, then the body as it came.

JSON carries any text, unpaired surrogates too; the dedupe key is hexadecimal.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from kirimhook.receiver.model import EventState, InboundEvent

VERSION = 1
_TO_JSON = json.JSONEncoder(separators=(",", ":")).encode


class Adopted(NamedTuple):
    """How an event stood in the inbox that it was copied from. Times are milliseconds since the epoch."""

    state: EventState
    """Finished, or waiting."""
    attempts: int
    due: int | None
    reason: str | None
    finished_at: int | None
    has_payload: bool


class Stored(NamedTuple):
    """What a message says."""

    event: InboundEvent
    at: int
    """When it was stored, by the clock of who stored it (ms): since then it is due."""
    claim: str
    """Names the one attempt to store it that succeeded: who is unsure finds out that way whether it was theirs."""
    adopted: Adopted | None


def encode(event: InboundEvent, at: int, claim: str, adopted: Adopted | None = None) -> bytes:
    """The payload of a message."""
    line: list[Any] = [VERSION, at, claim, event.dedupe_key.hex(), *event[1:-1]]
    if adopted is not None:
        line.append(adopted)
    return _TO_JSON(line).encode() + b"\n" + event.body


def decode(payload: bytes) -> Stored:
    """Raises ValueError for what `encode` did not make, or a newer version made."""
    end = payload.find(b"\n")
    try:
        version, at, claim, key, *rest = json.loads(payload[:end])
        fields, adopted = rest[:8], rest[8:]
        if version != VERSION:
            raise ValueError(f"version {version}, this kirimhook knows {VERSION}")
        event = InboundEvent._make((bytes.fromhex(key), *fields, payload[end + 1 :]))
        return Stored(event, at, claim, _adopted(*adopted[0]) if adopted else None)
    except (ValueError, TypeError) as error:
        raise ValueError(f"not an event of this inbox: {error}") from error


def _adopted(state: str, *rest: Any) -> Adopted:
    return Adopted(EventState(state), *rest)
