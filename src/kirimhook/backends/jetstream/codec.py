"""An event as a message: one line of JSON, then the body as it came.

JSON carries any text, unpaired surrogates too; the dedupe key is hexadecimal.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from kirimhook.receiver.model import EventState, InboundEvent

VERSION = 1
OF_TOMBSTONES = 2
"""The version of a tombstone: who does not know tombstones stops there, and takes none for an event."""
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


class Tombstone(NamedTuple):
    """A message that stands in the place of an erased event. It is of no use until the journal says so."""

    number: int
    """That of the event, which it keeps."""
    since: int
    """The last record of the partition that was known when the event was found finished."""


class Stored(NamedTuple):
    """What a message says."""

    event: InboundEvent
    at: int
    """When it was stored, by the clock of who stored it (ms): since then it is due."""
    claim: str
    """Names the one attempt to store it that succeeded: who is unsure finds out that way whether it was theirs."""
    adopted: Adopted | None
    tombstone: Tombstone | None = None
    """Not without `adopted`, which says how the event stood."""


def encode(
    event: InboundEvent, at: int, claim: str, adopted: Adopted | None = None, tombstone: Tombstone | None = None
) -> bytes:
    """The payload of a message."""
    version = VERSION if tombstone is None else OF_TOMBSTONES
    line: list[Any] = [version, at, claim, event.dedupe_key.hex(), *event[1:-1]]
    line += [said for said in (adopted, tombstone) if said is not None]
    return _TO_JSON(line).encode() + b"\n" + event.body


def decode(payload: bytes) -> Stored:
    """Raises ValueError for what `encode` did not make, or a newer version made."""
    end = payload.find(b"\n")
    try:
        version, at, claim, key, *rest = json.loads(payload[:end])
        fields, adopted, tombstone = rest[:8], rest[8:9], rest[9:]
        if version not in (VERSION, OF_TOMBSTONES):
            raise ValueError(f"version {version}, this kirimhook knows {OF_TOMBSTONES}")
        event = InboundEvent._make((bytes.fromhex(key), *fields, payload[end + 1 :]))
        stood = _adopted(*adopted[0]) if adopted else None
        return Stored(event, at, claim, stood, Tombstone(*tombstone[0]) if tombstone else None)
    except (ValueError, TypeError) as error:
        raise ValueError(f"not an event of this inbox: {error}") from error


def _adopted(state: str, *rest: Any) -> Adopted:
    return Adopted(EventState(state), *rest)
