"""A canary: one letter is replayed alone, and what becomes of it says whether the endpoint takes the others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from typing import NamedTuple

from kirimhook.client.errors import Conflict, InvalidRequest, NotFound
from kirimhook.contract.resources import Delivery, DeliveryStatus
from kirimhook.contract.retry import RetryLater, classify
from kirimhook.operating.reconciling.letters import Letter
from kirimhook.operating.reconciling.looking import Place
from kirimhook.operating.reconciling.plan import Wanted, canaries

MOST = 3
"""Letters that are tried when the endpoint refuses one for good: it may be the event's fault."""
PATIENCE = 60.0
"""Seconds that a first attempt may take: it waits for its turn, and has 10 of its own."""
POLL = 0.25
LONGEST_POLL = 2.0
EVENTS_FAULT = frozenset({400, 413, 415, 422})
"""Answers that are about the event. Others, as 401 and 404, are about the endpoint, whatever it is sent."""
_PAGES = 3
"""Of the list are looked through for a delivery, where it cannot be asked for alone."""


class Outcome(StrEnum):
    """What became of a canary."""

    TAKEN = "taken"
    """The inbox holds its event, or, where that cannot be asked, the endpoint answered 2xx."""
    REFUSED = "refused"
    """Dead at once: the endpoint refuses this event, or the provider refused to replay it."""
    FAILED = "failed"
    """An attempt failed, and another is due."""
    SILENT = "silent"
    """No attempt has ended within `PATIENCE`."""
    ELSEWHERE = "elsewhere"
    """The endpoint answered 2xx, and the inbox does not hold its event."""


class Canary(NamedTuple):
    """One that was sent. `delivery_id`: of the replay; None where the provider refused it."""

    letter: Letter
    delivery_id: str | None
    outcome: Outcome
    detail: str | None = None
    """What was answered, on one line."""
    is_events_fault: bool = False
    """It was refused for what it is; another may be taken."""


class Probe(NamedTuple):
    """Canaries of one probe; the last of them says how the endpoint does."""

    sent: tuple[Canary, ...]

    @property
    def outcome(self) -> Outcome:
        return self.sent[-1].outcome

    @property
    def is_taken(self) -> bool:
        return self.outcome is Outcome.TAKEN

    @property
    def is_elsewhere(self) -> bool:
        """Whatever the endpoint took, the inbox does not hold it."""
        return all(one.outcome is Outcome.ELSEWHERE for one in self.sent)

    @property
    def replayed(self) -> int:
        return sum(one.delivery_id is not None for one in self.sent)

    @property
    def letters(self) -> frozenset[str]:
        return frozenset(one.letter.id for one in self.sent)


Note = Callable[[Wanted], None]
Sleep = Callable[[float], Awaitable[object]]


async def probe(place: Place, wanted: Sequence[Wanted], note: Note, sleep: Sleep = asyncio.sleep) -> Probe:
    """Send one letter of `wanted`, which is not empty; others only while what was sent says nothing of the rest.

    Calls `note` with each that was sent, as soon as it was. Raises what the client raises, `InboxUnavailable`.
    """
    sent: list[Canary] = []
    for one in canaries(wanted, MOST):
        sent.append(await _sent(place, one, note, sleep))
        if sent[-1].outcome not in {Outcome.REFUSED, Outcome.ELSEWHERE}:
            break
    return Probe(tuple(sent))


async def _sent(place: Place, one: Wanted, note: Note, sleep: Sleep) -> Canary:
    try:
        receipt = await place.client.webhook_deliveries.replay(one.letter.id)
    except (NotFound, Conflict, InvalidRequest) as error:
        if error.code in {"subscription_deleted", "idempotency_in_progress"}:
            raise
        note(one)
        return Canary(one.letter, None, Outcome.REFUSED, f"{error.code}: {error.message}", is_events_fault=True)
    note(one)
    waited, pause = 0.0, POLL
    while True:
        outcome, delivery = await outcome_of(place, one.letter, receipt.id)
        if outcome is not None or waited >= PATIENCE:
            is_at_fault = (
                outcome is Outcome.REFUSED and delivery is not None and delivery.response_status in EVENTS_FAULT
            )
            return Canary(one.letter, receipt.id, outcome or Outcome.SILENT, _detail(delivery), is_at_fault)
        await sleep(pause)
        waited, pause = waited + pause, min(pause * 2, LONGEST_POLL)


async def outcome_of(place: Place, letter: Letter, delivery_id: str) -> tuple[Outcome | None, Delivery | None]:
    """What became of this replay of the letter so far; None: nothing yet."""
    if await _is_held(place, letter):
        return Outcome.TAKEN, None
    delivery = await _found(place, delivery_id)
    if delivery is None or delivery.status is DeliveryStatus.PENDING:
        return None, delivery
    if delivery.status is DeliveryStatus.SUCCEEDED:
        is_there = letter.key is None or await _is_held(place, letter)  # committed before it was answered
        return Outcome.TAKEN if is_there else Outcome.ELSEWHERE, delivery
    return Outcome.REFUSED if _is_refused(delivery) else Outcome.FAILED, delivery


def _is_refused(delivery: Delivery) -> bool:
    """Dead for what the endpoint answered to this event, as far as the provider says what that was."""
    is_transient = isinstance(classify(delivery.response_status), RetryLater)
    is_said = delivery.response_status is not None or delivery.last_error is not None
    return delivery.status is DeliveryStatus.DEAD and not (is_said and is_transient)


async def _is_held(place: Place, letter: Letter) -> bool:
    return letter.key is not None and (await place.inbox.known([letter.key]))[0] is not None


async def _found(place: Place, delivery_id: str) -> Delivery | None:
    """Alone, else among the newest of the list: an API need not have more than the list."""
    deliveries = place.client.webhook_deliveries
    try:
        return await deliveries.get(delivery_id)
    except NotFound:
        looked = 0
        async for page in deliveries.list(subscription_id=place.subscription_id).pages():
            looked += 1
            found = next((one for one in page.items if one.id == delivery_id), None)
            if found is not None or looked == _PAGES:
                return found
    return None


def _detail(delivery: Delivery | None) -> str | None:
    if delivery is None:
        return None
    answered = None if delivery.response_status is None else f"HTTP {delivery.response_status}"
    return delivery.last_error or answered
