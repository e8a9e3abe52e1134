"""How far the operator has been told of parked events, as text that an inbox keeps under a name. No I/O, no clock.

An event is parked at a moment, and may be parked again later: that is another transition. What was parked until
`until` has been told; of what was parked after it, what bears one of `marks`. `until` stays `LATE` behind, because
what was parked earlier may be seen later: another transaction, another machine's clock.
"""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64encode
from dataclasses import dataclass, replace
from typing import Any

VERSION = 1
LATE = 120_000
"""Milliseconds by which something may be seen later than what was parked after it, and is told nevertheless."""
MOST_MARKS = 400
"""What fits: where more is parked within `LATE`, only the newest so many are told apart."""
MARK = 8
"""Characters."""


class UnknownProgress(ValueError):
    """What the inbox keeps was not written by this version."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Moments are milliseconds since the epoch."""

    until: int = -1
    marks: frozenset[str] = frozenset()
    looked_at: int = 0
    """When the last look began that saw everything told, or found nothing to tell."""
    parked: int = 0
    """How many events were parked then."""
    next_at: int = 0
    """Nobody looks before."""
    failures: int = 0
    """How often in a row nobody has taken it."""
    holder: str = ""
    """Who looks or tells now, until `next_at`."""

    def tells(self, number: int, at: int) -> bool:
        """Whether this transition has been told."""
        return at <= self.until or mark(number, at) in self.marks

    def trusted(self, now: int, longest: int) -> Progress:
        """Without moments that only a wrong clock can have written: rather told twice than never."""
        until = min(self.until, now - LATE) if self.until > now else self.until
        return replace(
            self,
            until=until,
            looked_at=self.looked_at if self.looked_at <= now else 0,
            next_at=self.next_at if self.next_at <= now + longest else 0,
        )


def mark(number: int, at: int) -> str:
    """Of one transition: 48 bits of a digest."""
    return urlsafe_b64encode(hashlib.sha256(f"{number}:{at}".encode()).digest()[: MARK * 3 // 4]).decode()


def written(progress: Progress) -> str:
    """Fewer than 4096 characters."""
    fields: dict[str, Any] = {
        "v": VERSION,
        "until": progress.until,
        "marks": "".join(sorted(progress.marks)),
        "looked": progress.looked_at,
        "parked": progress.parked,
        "next": progress.next_at,
        "failures": progress.failures,
        "holder": progress.holder,
    }
    return json.dumps(fields, separators=(",", ":"))


def read(text: str | None) -> Progress:
    """Of an inbox that nobody was told of yet: from its beginning. Raises `UnknownProgress`."""
    if text is None:
        return Progress()
    try:
        fields = json.loads(text)
        if fields["v"] != VERSION:
            raise UnknownProgress(f"version {fields['v']!r}")
        marks = fields["marks"]
        return Progress(
            fields["until"],
            frozenset(marks[start : start + MARK] for start in range(0, len(marks), MARK)),
            fields["looked"],
            fields["parked"],
            fields["next"],
            fields["failures"],
            fields["holder"],
        )
    except (ValueError, KeyError, TypeError) as error:
        raise UnknownProgress(repr(error)) from None
