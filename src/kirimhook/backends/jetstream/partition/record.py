"""One append to a partition's journal: facts, to be applied to the state that their writer saw.

JSON, because a journal outlives the version that wrote it. Columns where there are many rows of one kind.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from kirimhook.receiver.model import EventState

VERSION = 1
OF_ERASING = 2
"""The version of a record that erases: who does not know how stops there."""
_TO_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode


class Noted(NamedTuple):
    """An event of the stream that is in the queue from now on."""

    number: int
    lane: int | None
    due: int | None
    """Milliseconds since the epoch. None: behind another of its lane."""


class Leased(NamedTuple):
    """Heads that one lease took. Attempts and crashes count the leases that ran out before."""

    token: int
    until: int
    heads: tuple[tuple[int, int, int], ...]
    """Number, attempts, crashes."""

    @classmethod
    def of(cls, said: Sequence[Any]) -> Leased:
        """As JSON gave it: the heads in columns."""
        token, until, *columns = said
        return cls(token, until, tuple(zip(*columns, strict=True)))


class Moved(NamedTuple):
    """What is now true of an unfinished event; its lane never changes, its reason is said apart."""

    number: int
    due: int | None
    token: int | None
    attempts: int
    crashes: int


class Ended(NamedTuple):
    """How an event ended that is kept aside: parked, unhandled or skipped."""

    number: int
    state: EventState
    at: int
    attempts: int
    reason: str | None

    @classmethod
    def of(cls, row: Sequence[Any]) -> Ended:
        """As JSON gave it."""
        number, state, at, attempts, reason = row
        return cls(number, EventState(state), at, attempts, reason)


class Back(NamedTuple):
    """A finished event that is unfinished again, with fresh attempts."""

    number: int
    lane: int | None
    due: int | None
    state: EventState
    """That it was in."""

    @classmethod
    def of(cls, row: Sequence[Any]) -> Back:
        """As JSON gave it."""
        number, lane, due, state = row
        return cls(number, lane, due, EventState(state))


@dataclass(frozen=True, slots=True)
class Record:
    """Applied in the order of the fields."""

    id: str
    """Unique, so that its writer recognises it when the answer to its append was lost."""
    upto: int
    """Every event of the partition up to this number has been noted."""
    noted: tuple[Noted, ...] = ()
    back: tuple[Back, ...] = ()
    done: tuple[int, ...] = ()
    ended: tuple[Ended, ...] = ()
    leased: tuple[Leased, ...] = ()
    moved: tuple[Moved, ...] = ()
    reasons: tuple[tuple[int, str], ...] = ()
    """Why the last attempt of an unfinished event failed: number, reason."""
    erased: tuple[tuple[int, int], ...] = ()
    """Finished events, and the messages that stand in their place now. The messages end, the events are removed."""
    removed: tuple[tuple[int, EventState], ...] = ()
    """Finished events that may now be deleted from the stream."""
    confirmed: tuple[tuple[int, int], ...] = ()
    """What was to be written aside and is: number, and the `as_of` that was written."""
    gone: tuple[int, ...] = ()
    """Removed events that have been deleted from the stream."""
    paused: bool | None = None

    def explains(self, numbers: Collection[int]) -> bool:
        """It says why one of these events failed, or was parked."""
        return any(number in numbers for number, _ in self.reasons) or any(
            one.number in numbers and one.reason is not None for one in self.ended
        )

    def encode(self) -> bytes:
        """As the message's payload."""
        said: dict[str, Any] = {"v": OF_ERASING if self.erased else VERSION, "id": self.id, "upto": self.upto}
        for name, rows in (("noted", self.noted), ("back", self.back), ("ended", self.ended), ("moved", self.moved)):
            if rows:
                said[name] = tuple(zip(*rows, strict=True))
        if self.leased:
            said["leased"] = [(token, until, *zip(*heads, strict=True)) for token, until, heads in self.leased]
        for name in ("done", "reasons", "erased", "removed", "confirmed", "gone"):
            if rows := getattr(self, name):
                said[name] = rows
        if self.paused is not None:
            said["paused"] = self.paused
        return _TO_JSON(said).encode()

    @classmethod
    def decode(cls, data: bytes) -> Record:
        """Raises ValueError for what `encode` did not make, or a newer version made."""
        try:
            return cls._read(json.loads(data))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"not a record of this journal: {error}") from error

    @classmethod
    def _read(cls, said: dict[str, Any]) -> Record:
        if said["v"] not in (VERSION, OF_ERASING):
            raise ValueError(f"version {said['v']}, this kirimhook knows {OF_ERASING}")
        return cls(
            id=said["id"],
            upto=said["upto"],
            noted=tuple(map(Noted, *said["noted"])) if "noted" in said else (),
            back=tuple(map(Back.of, _rows(said, "back"))),
            done=tuple(said.get("done", ())),
            ended=tuple(map(Ended.of, _rows(said, "ended"))),
            leased=tuple(map(Leased.of, said.get("leased", ()))),
            moved=tuple(map(Moved, *said["moved"])) if "moved" in said else (),
            reasons=tuple((number, reason) for number, reason in said.get("reasons", ())),
            erased=tuple((number, message) for number, message in said.get("erased", ())),
            removed=tuple((number, EventState(state)) for number, state in said.get("removed", ())),
            confirmed=tuple((number, as_of) for number, as_of in said.get("confirmed", ())),
            gone=tuple(said.get("gone", ())),
            paused=said.get("paused"),
        )


def _rows(said: dict[str, Any], name: str) -> Iterable[tuple[Any, ...]]:
    return zip(*said[name], strict=True) if name in said else ()
