"""What the operator is told, in one shape for both halves: counts, reasons and a few examples. No I/O, no clock.

However much happened, a document is bounded: `MOST_NOTICES` groups, `MOST_EXAMPLES` ids in each, texts cut.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

VERSION = 1
"""Of the document. Fields may be added to it; a change of those that are there makes it another."""
MOST_NOTICES = 20
MOST_EXAMPLES = 5
MOST_CHARACTERS = 300
"""Of a reason, a detail and a type: those come from outside."""
MOST_NAMED = 5
"""Notices that `text` names."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Kind(StrEnum):
    """What happened."""

    DEAD_LETTERS = "dead_letters"
    """Deliveries were given up. `subscription_id`; examples are ids of deliveries."""
    SUBSCRIPTION_DISABLED = "subscription_disabled"
    """The sender disabled a subscription by itself. `subscription_id`; no examples."""
    PARKED_EVENTS = "parked_events"
    """A receiver gave events up. `event_type`; examples are numbers in its inbox."""
    NOT_RECONCILED = "not_reconciled"
    """`reconcile` cannot go on without somebody. `subscription_id`; examples are ids of deliveries."""


_WORDS = {
    Kind.DEAD_LETTERS: ("dead letter", "dead letters"),
    Kind.SUBSCRIPTION_DISABLED: ("subscription disabled", "subscriptions disabled"),
    Kind.PARKED_EVENTS: ("event parked", "events parked"),
    Kind.NOT_RECONCILED: ("dead letter not reconciled", "dead letters not reconciled"),
}


@dataclass(frozen=True, slots=True)
class Notice:
    """Things that happened, of one kind, at one place, for one reason. Moments are milliseconds since the epoch."""

    kind: Kind
    reason: str
    first_at: int
    last_at: int
    subscription_id: str | None = None
    event_type: str | None = None
    count: int = 1
    examples: tuple[str, ...] = ()
    detail: str | None = None
    """Of the last of them: what an endpoint answered, what went wrong."""

    @property
    def group(self) -> tuple[str, ...]:
        """What is told as one: equal for notices that `merged` makes one of."""
        return self.kind, self.subscription_id or "", cut(self.event_type or ""), cut(self.reason)


def merged(notices: Iterable[Notice]) -> list[Notice]:
    """One notice for each group, in the order of first sight. Counts add up; the first examples stay."""
    groups: dict[tuple[str, ...], Notice] = {}
    for notice in notices:
        before = groups.get(notice.group)
        groups[notice.group] = _bounded(notice) if before is None else _both(before, notice)
    return list(groups.values())


def _bounded(notice: Notice) -> Notice:
    return Notice(
        notice.kind,
        cut(notice.reason),
        notice.first_at,
        notice.last_at,
        notice.subscription_id,
        None if notice.event_type is None else cut(notice.event_type),
        notice.count,
        tuple(dict.fromkeys(notice.examples))[:MOST_EXAMPLES],
        None if notice.detail is None else cut(notice.detail),
    )


def _both(one: Notice, other: Notice) -> Notice:
    later = other if other.last_at >= one.last_at else one
    return _bounded(
        Notice(
            one.kind,
            one.reason,
            min(one.first_at, other.first_at),
            max(one.last_at, other.last_at),
            one.subscription_id,
            one.event_type,
            one.count + other.count,
            one.examples + other.examples,
            later.detail if later.detail is not None else one.detail or other.detail,
        )
    )


def document(source: str, notices: Sequence[Notice], at: float, told: Iterable[str]) -> dict[str, Any]:
    """What a `Teller` tells: the largest groups, and how many things are in none of those.

    `source`: sender, receiver or reconcile. `at`: unix seconds. `told`: names of all that is told, in any order; the
    same make the same `id`, by which a document that comes again is known.
    """
    groups = sorted(merged(notices), key=lambda notice: (-notice.count, notice.first_at, notice.group))
    shown, others = groups[:MOST_NOTICES], sum(notice.count for notice in groups[MOST_NOTICES:])
    return {
        "version": VERSION,
        "id": digest(told),
        "source": source,
        "told_at": _moment(int(at * 1000)),
        "text": _text(groups),
        "count": sum(notice.count for notice in groups),
        "notices": [_notice(notice) for notice in shown],
        "others": others,
    }


def digest(names: Iterable[str]) -> str:
    """Of a set of names: 32 hexadecimal digits."""
    return hashlib.sha256("\n".join(sorted(set(names))).encode()).hexdigest()[:32]


def cut(text: str) -> str:
    """On one line, and no longer than `MOST_CHARACTERS`."""
    line = " ".join(text.split())
    return line if len(line) <= MOST_CHARACTERS else f"{line[: MOST_CHARACTERS - 1]}…"


def _notice(notice: Notice) -> dict[str, Any]:
    return {
        "kind": notice.kind.value,
        "subscription_id": notice.subscription_id,
        "event_type": notice.event_type,
        "reason": notice.reason,
        "count": notice.count,
        "first_at": _moment(notice.first_at),
        "last_at": _moment(notice.last_at),
        "examples": list(notice.examples),
        "detail": notice.detail,
    }


def _text(groups: Sequence[Notice]) -> str:
    """For people: one sentence of the largest groups."""
    named = [_named(notice) for notice in groups[:MOST_NAMED]]
    left = sum(notice.count for notice in groups[MOST_NAMED:])
    return "; ".join([*named, *([f"and {left} more"] if left else [])])


def _named(notice: Notice) -> str:
    one, several = _WORDS[notice.kind]
    where = notice.subscription_id or notice.event_type
    return f"{notice.count} {one if notice.count == 1 else several}{f' ({where})' if where else ''}: {notice.reason}"


def _moment(ms: int) -> str:
    """RFC 3339, in UTC."""
    return f"{(_EPOCH + timedelta(milliseconds=ms)).isoformat(timespec='milliseconds')[:-6]}Z"
