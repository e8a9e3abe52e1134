"""Texts and keys as PostgreSQL can hold them: any text, although it takes neither NUL nor a lone surrogate."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

MARK = "\U0010ffff"
"""Begins what stands for a character that PostgreSQL does not take. No character itself, it is marked too."""
UNTAKEN = re.compile("[\0\ud800-\udfff\U0010ffff]")
MARKED = re.compile(MARK + "([0-9a-f]{4,6});")


def are_plain(texts: Iterable[str]) -> bool:
    """Whether all of them can be stored as they are."""
    joined = "".join(texts)
    return "\0" not in joined if joined.isascii() else UNTAKEN.search(joined) is None


def marked(text: str) -> str:
    return UNTAKEN.sub(lambda found: f"{MARK}{ord(found[0]):04x};", text)


def unmarked(text: str) -> str:
    """What `marked` was given."""
    if text.isascii() or MARK not in text:
        return text
    return MARKED.sub(lambda found: chr(int(found[1], 16)), text)


def storable(text: str) -> str:
    """A reason, for people to read: what PostgreSQL does not take is written out."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def lane_of(ordering_key: str | None) -> int | None:
    """A 64-bit digest: narrow to index. Two keys that collide are handled in one order, which harms nothing."""
    if ordering_key is None:
        return None
    digest = hashlib.blake2b(ordering_key.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)
