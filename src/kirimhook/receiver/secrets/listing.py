"""Reading a list of secrets, and telling a list from a half of one. Pure: text in, secrets out.

A list is taken whole or not at all: one that lost an entry on its way would answer 401 to authentic
deliveries, and the provider never retries a 401.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kirimhook.contract.signature import MAX_SECRET_CHARS, Secret

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAX_SECRETS = 64
"""Far above what a rotation needs: every one of them costs an HMAC per request."""

_WELL_FORMED = re.compile(r"whsec_[A-Za-z0-9_+/-]{24,}={0,2}")
_SEPARATORS = re.compile(r"[,\r\n]")


class UnusableListError(Exception):
    """A source gave no list that can be taken. The message quotes nothing of it."""


def from_text(text: str) -> tuple[Secret, ...]:
    """Secrets separated by commas or newlines. Raises `UnusableListError`."""
    return from_values(_SEPARATORS.split(text))


def from_values(values: Iterable[str]) -> tuple[Secret, ...]:
    """The distinct secrets among the values, blank ones left out. Raises `UnusableListError`."""
    stripped = [value.strip() for value in values]
    places = [(place, value) for place, value in enumerate(stripped, 1) if value]
    if not places:
        raise UnusableListError("it holds no secret")
    secrets = tuple(dict.fromkeys(_secret(value, place) for place, value in places))
    if len(secrets) > MAX_SECRETS:
        raise UnusableListError(f"it holds {len(secrets)} secrets, more than {MAX_SECRETS}")
    return secrets


def from_file(raw: bytes, known: Sequence[Secret]) -> tuple[Secret, ...]:
    """One secret a line; blank lines and `#` comments do not count. Raises `UnusableListError`.

    `known` is the list in force: a line that is the beginning of a known secret, or of another line, and a
    last line that is unterminated and shorter than the others show that the file is still being written.
    """
    try:
        lines = raw.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError:
        raise UnusableListError("it is not UTF-8 text") from None
    entries = ["" if line.lstrip().startswith("#") else line.strip() for line in lines]
    others = [*(secret.reveal() for secret in known), *filter(None, entries[:-1])]
    if entries[-1] and len(entries[-1]) < max(map(len, others), default=0):
        raise UnusableListError("its last line is short and has no newline: half-written")
    secrets = from_values(entries)
    for place, entry in enumerate(entries, 1):
        if entry and any(other != entry and other.startswith(entry) for other in others):
            raise UnusableListError(f"line {place} is the beginning of another secret: half-written")
    return secrets


def _secret(value: str, place: int) -> Secret:
    if len(value) > MAX_SECRET_CHARS or not _WELL_FORMED.fullmatch(value):
        raise UnusableListError(f"entry {place} is not a secret (whsec_ and at least 24 characters of base64)")
    return Secret(value)
