"""Which events a page is about: what its URL says, and the `Filter` that this means."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import urlencode

from kirimhook.receiver.inbox import Filter
from kirimhook.receiver.model import FINISHED, EventState

FIELDS = ("state", "type", "event_id", "received_after", "received_before")
"""Their names in a URL and in a form, as `kirimhook inbox list` has them. `state` may be there several times."""
TROUBLE = frozenset({EventState.PARKED, EventState.UNHANDLED})
"""What is meant where nothing says otherwise: events that need somebody."""
MOST_TYPES = 20
MOST_CHARS = 512
"""Of one field; an event id has 255 at most."""
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_RELATIVE = re.compile(r"(\d{1,6})\s*([smhdw])(?: ago)?", re.ASCII)


class NotUnderstood(ValueError):
    """A field that makes no sense; `field` is its name, the message is for whoever wrote it."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(text)
        self.field = field


class Chosen(NamedTuple):
    """As it was written; what was left out is empty."""

    states: frozenset[EventState] = frozenset()
    type: str = ""
    event_id: str = ""
    received_after: str = ""
    received_before: str = ""

    @property
    def meant(self) -> frozenset[EventState]:
        """The states: as written; all of an event id that is asked for; else those of `TROUBLE`."""
        return self.states or (frozenset(EventState) if self.event_id else TROUBLE)

    @property
    def can_be_put_back(self) -> bool:
        """Whether all that it means is finished."""
        return self.meant <= FINISHED

    def where(self, now: float) -> Filter:
        """`now` is seconds since the epoch. Raises `NotUnderstood`."""
        return Filter(
            states=frozenset() if self.meant == frozenset(EventState) else self.meant,
            types=_types(self.type),
            event_id=self.event_id or None,
            received_after=_milliseconds("received_after", self.received_after, now),
            received_before=_milliseconds("received_before", self.received_before, now),
        )

    def pairs(self) -> list[tuple[str, str]]:
        """For a URL or hidden fields: `chosen` of them is the same again."""
        written = [(name, str(getattr(self, name))) for name in FIELDS[1:]]
        return [*(("state", state.value) for state in sorted(self.states)), *(pair for pair in written if pair[1])]

    def query(self, **more: object) -> str:
        """The part of a URL from the question mark on; "" where there is nothing to say."""
        pairs = self.pairs() + [(name, str(value)) for name, value in more.items() if value is not None]
        return f"?{urlencode(pairs)}" if pairs else ""

    def fixed(self, now: float) -> Chosen:
        """The same, with moments that do not move: `2h` becomes a time. Raises `NotUnderstood`."""
        where = self.where(now)
        return self._replace(
            states=self.meant,
            received_after=_stamp(where.received_after),
            received_before=_stamp(where.received_before),
        )


def chosen(pairs: Iterable[tuple[str, str]]) -> Chosen:
    """Of the fields of a URL or a form; others are not looked at. Raises `NotUnderstood`."""
    states: set[EventState] = set()
    given: dict[str, str] = {}
    for name, value in pairs:
        if name not in FIELDS or not value.strip():
            continue
        if len(value) > MOST_CHARS:
            raise NotUnderstood(name, f"At most {MOST_CHARS} characters.")
        if name == "state":
            states.add(_state(value))
        elif name in given:
            raise NotUnderstood(name, "This may be there once.")
        else:
            given[name] = value.strip()
    made = Chosen(frozenset(states), **_named(given))
    _types(made.type)
    return made


def _named(given: Mapping[str, str]) -> dict[str, str]:
    return {name: given.get(name, "") for name in FIELDS[1:]}


def _state(value: str) -> EventState:
    try:
        return EventState(value)
    except ValueError:
        raise NotUnderstood("state", f"There are {', '.join(state.value for state in EventState)}.") from None


def _types(written: str) -> tuple[str, ...]:
    patterns = tuple(dict.fromkeys(written.replace(",", " ").split()))
    if len(patterns) > MOST_TYPES:
        raise NotUnderstood("type", f"At most {MOST_TYPES} types.")
    if any("*" in pattern[:-1] for pattern in patterns):
        raise NotUnderstood("type", "A * stands at the end only, as in message.*")
    return patterns


def _milliseconds(field: str, written: str, now: float) -> int | None:
    if not written:
        return None
    if found := _RELATIVE.fullmatch(written):
        return int((now - int(found[1]) * _UNITS[found[2]]) * 1000)
    try:
        moment = datetime.fromisoformat(written.removesuffix("UTC").strip())
        return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        raise NotUnderstood(field, "Write 30m, 2h or 7d (ago), or a time in UTC: 2026-05-23 10:00.") from None


def _stamp(ms: int | None) -> str:
    if ms is None:
        return ""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
