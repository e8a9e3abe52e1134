"""The suite itself: it leaves out only what a backend says it cannot do, and random histories find what is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace

import pytest
from hypothesis import Phase, settings

from kirimhook.backends.sqlite.inbox import SQLiteInbox
from kirimhook.backends.sqlite.settings import SQLiteSettings
from kirimhook.receiver.inbox import Capabilities, Inbox
from kirimhook.receiver.model import EventState, InboundEvent, Lease, Parked, Receipt, RetryAt, Settlement, StoredEvent
from kirimhook.testing.conformance import InboxConformance, Storage
from kirimhook.testing.conformance.machine import check

EVERYTHING = Capabilities(transactions=True, durable=True)
ASKED_BY_A_TEST = {"transactions", "shared", "payload_retention", "oldest_first"}
"""The others change what a test expects."""
QUICK = settings(max_examples=1_500, stateful_step_count=30, phases=[Phase.generate], print_blob=False)


def asked(capabilities: Capabilities) -> set[str]:
    suite = type("Suite", (InboxConformance,), {"capabilities": capabilities})
    return {name for name in dir(suite) if name.startswith("test_") and getattr(suite, name) is not None}


@pytest.mark.parametrize("name", [field.name for field in fields(Capabilities)])
def test_what_is_not_promised_is_not_asked(name: str) -> None:
    everything, less = asked(EVERYTHING), asked(replace(EVERYTHING, **{name: False}))
    assert less < everything if name in ASKED_BY_A_TEST else less == everything
    assert len(less) > 80


class HandlesAgain(SQLiteInbox):
    """What is done elsewhere waits here."""

    async def adopt(self, events: Sequence[StoredEvent]) -> int:
        return await super().adopt([replace(one, state=EventState.WAITING) for one in events])


class ForgetsAttempts(SQLiteInbox):
    """What was tried elsewhere has not been tried here."""

    async def adopt(self, events: Sequence[StoredEvent]) -> int:
        return await super().adopt([replace(one, attempts=0) for one in events])


class HasNoFence(SQLiteInbox):
    """It says that a lost lease was held."""

    async def settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        return [True for _ in await super().settle(settlements)]


class LosesTheOrder(SQLiteInbox):
    """A run goes over the event that comes first."""

    async def lease(self, limit: int, seconds: float) -> list[Lease]:
        return [one._replace(run=one.run[1:] or one.run) for one in await super().lease(limit, seconds)]


class IsLate(SQLiteInbox):
    """A retry comes a millisecond after it is due."""

    async def settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        return await super().settle([self._late(one) for one in settlements])

    @staticmethod
    def _late(one: Settlement) -> Settlement:
        match one.outcome:
            case RetryAt(at, reason):
                return one._replace(outcome=RetryAt(at + 1, reason))
            case Parked(reason):
                return one._replace(outcome=Parked(reason.upper()))
        return one


class TellsAllDuplicatesAlike(SQLiteInbox):
    async def put(self, events: Sequence[InboundEvent]) -> list[Receipt]:
        receipts = await super().put(events)
        return [Receipt.DUPLICATE if one is Receipt.DUPLICATE_PARKED else one for one in receipts]


class ErasesWhatWaits(SQLiteInbox):
    """It counts all that it was asked for."""

    async def erase(self, numbers: Sequence[int]) -> int:
        await super().erase(numbers)
        return len(set(numbers))


class ForgetsTheErased(SQLiteInbox):
    """What was erased is not known any more."""

    async def known(self, keys: Sequence[bytes]) -> list[EventState | None]:
        states = await super().known(keys)
        events = {one.event.dedupe_key: one for one in await self.read(0, 100)}
        return [
            state if key in events and events[key].event.event_id else None
            for key, state in zip(keys, states, strict=True)
        ]


class MovesAnyBookmark(SQLiteInbox):
    """Wherever it was."""

    async def move_bookmark(self, name: str, was: str | None, to: str | None) -> bool:
        return await super().move_bookmark(name, await self.bookmark(name), to)


WRONG = [
    ErasesWhatWaits,
    ForgetsTheErased,
    MovesAnyBookmark,
    HandlesAgain,
    ForgetsAttempts,
    HasNoFence,
    LosesTheOrder,
    IsLate,
    TellsAllDuplicatesAlike,
]


class InMemory(Storage):
    def __init__(self, kind: type[SQLiteInbox]) -> None:
        super().__init__()
        self._kind = kind

    def inbox(self, **bounds: int) -> Inbox:
        return self._kind(SQLiteSettings.from_url("sqlite:///:memory:", **bounds), self.clock)


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_inbox_is_found(kind: type[SQLiteInbox]) -> None:
    with pytest.raises(AssertionError):
        check(lambda: InMemory(kind), QUICK)


def test_a_right_one_is_not() -> None:
    check(lambda: InMemory(SQLiteInbox), settings(QUICK, max_examples=5))
