"""What the streams and subjects of an inbox are called, and where an event belongs.

A subject of an event is its partition and a hash of its dedupe key, so that JetStream itself can say whether it
knows the key: 26 characters of base32 are 130 bits. All of it is part of the stored format (`SCHEMA`).
"""

from __future__ import annotations

import base64
import hashlib

from kirimhook.receiver.model import InboundEvent

_HASH = 26
_HASHED = 20
"""Bytes of the digest that are encoded; base32 encodes five at a time, and 17 are needed."""


class Names:
    """Of one inbox."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.events = f"{name}_events"
        """The stream with what came in."""
        self.journal = f"{name}_journal"
        """The stream with what became of it."""
        self.aside = f"{name}_aside"
        """The stream with the details of what ended, but not as done; and with bookmarks."""
        self.hint = f"{name}.hint"
        """Where handles tell each other that something came. Not stored."""

    def event(self, partition: int, dedupe_key: bytes) -> str:
        return f"{self.name}.ev.{partition}.{hash26(dedupe_key)}"

    def known(self, hashed: str) -> str:
        """All subjects on which an event with this hash can be, whatever its partition."""
        return f"{self.name}.ev.*.{hashed}"

    def events_of(self, partition: int) -> str:
        return f"{self.name}.ev.{partition}.*"

    def all_events(self) -> str:
        return f"{self.name}.ev.*.*"

    def records(self, partition: int) -> str:
        """The journal of a partition."""
        return f"{self.name}.jr.{partition}"

    def snapshot(self, partition: int) -> str:
        return f"{self.name}.sn.{partition}"

    def aside_of(self, partition: int, number: int) -> str:
        return f"{self.name}.as.{partition}.{number}"

    def all_aside(self, partition: int | None = None) -> str:
        """Of a partition, or of all."""
        return f"{self.name}.as.{'*' if partition is None else partition}.*"

    def bookmark(self, name: str) -> str:
        return f"{self.name}.bm.{name}"

    def all_bookmarks(self) -> str:
        return f"{self.name}.bm.*"

    @staticmethod
    def partition_in(subject: str) -> int:
        """The partition that any of these subjects names. Raises ValueError."""
        return int(subject.split(".", 3)[2])


def hash26(dedupe_key: bytes) -> str:
    """Of a dedupe key, as its subject ends."""
    return base64.b32encode(hashlib.sha256(dedupe_key).digest()[:_HASHED])[:_HASH].decode()


def lane_of(ordering_key: str | None) -> int | None:
    """A 64-bit digest. Two keys that collide are handled in one order, which harms nothing."""
    if ordering_key is None:
        return None
    digest = hashlib.blake2b(ordering_key.encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


def partition_of(event: InboundEvent, partitions: int) -> int:
    """Events of one ordering key share a partition; those without are spread by dedupe key."""
    lane = lane_of(event.ordering_key)
    if lane is None:
        lane = int.from_bytes(hashlib.blake2b(event.dedupe_key, digest_size=8).digest(), "little")
    return lane % partitions
