"""What can be set about every inbox, and how a URL says it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import parse_qsl

MINIMUM_DEDUPE_DAYS = 7
"""Guide, step 4: 7 days covers all retry windows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxSettings:
    """Raises ValueError, naming the field, for a value that cannot be kept."""

    dedupe_days: float = 32
    """How long an event is remembered; a dead letter can be replayed for 30 days."""
    payload_days: float = 7
    """How long the body of a finished event is kept. Parked events keep theirs."""
    max_waiting: int = 8192
    """Events that may wait for a commit; past it a put is refused."""
    max_waiting_bytes: int = 128 * 1024 * 1024
    """Bytes that their bodies may have together."""
    commit_bound: float = 5.0
    """Seconds a put may wait to be durable."""

    def __post_init__(self) -> None:
        for field in fields(self):
            if field.type in ("int", "float"):
                _check_number(field.name, getattr(self, field.name))
        if self.dedupe_days < MINIMUM_DEDUPE_DAYS:
            raise ValueError(f"dedupe_days: at least {MINIMUM_DEDUPE_DAYS}, or a late retry is handled twice")
        if self.payload_days > self.dedupe_days:
            raise ValueError("payload_days: no more than dedupe_days")


def options_of(
    kind: type[InboxSettings], query: str, given: Mapping[str, Any], place: frozenset[str]
) -> dict[str, Any]:
    """Fields of `kind` as the query of a URL and keyword options name them; the options win.

    `place` names the fields that the rest of the URL says. Raises ValueError for what is no field, or no number.
    """
    types = {field.name: str(field.type) for field in fields(kind) if field.name not in place}
    known = ", ".join(sorted(types))
    read: dict[str, Any] = {}
    for name, text in parse_qsl(query, strict_parsing=True) if query else []:
        if name not in types:
            raise ValueError(f"inbox URL: unknown option {name!r}; known: {known}")
        read[name] = _converted(name, text, types[name])
    if unknown := given.keys() - types.keys():
        raise ValueError(f"inbox options: unknown {sorted(unknown)}; known: {known}")
    return {**read, **given}


def _check_number(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ValueError(f"{name}: must be a number above 0, not {value!r}")


def _converted(name: str, text: str, kind: str) -> Any:
    if kind == "bool":
        if text not in ("true", "false"):
            raise ValueError(f"inbox URL: {name}={text!r} must be true or false")
        return text == "true"
    try:
        return {"int": int, "float": float}.get(kind, str)(text)
    except ValueError:
        raise ValueError(f"inbox URL: {name}={text!r} is not a number") from None
