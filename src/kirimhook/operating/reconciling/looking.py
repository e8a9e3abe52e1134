"""A look: walks over the dead letters of a subscription, asks the inbox, and judges each. Changes nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from kirimhook.client.clients import AsyncKirim
from kirimhook.client.errors import NotFound
from kirimhook.contract.resources import Delivery
from kirimhook.operating.reconciling.letters import Letter, letter
from kirimhook.operating.reconciling.memory import Memory
from kirimhook.operating.reconciling.plan import Judged, Plan
from kirimhook.operating.reconciling.verdicts import TO_REPLAY, Facts, Rules, Verdict, judge
from kirimhook.operating.replaying.abilities import abilities
from kirimhook.receiver.inbox import Inbox
from kirimhook.receiver.model import EventState

LINKS = 50
"""Replays of replays that are followed back to the first delivery of an event; beyond, its age cannot be told."""


@dataclass(frozen=True, slots=True)
class Place:
    """Whose dead letters, and what they are compared with."""

    client: AsyncKirim
    inbox: Inbox
    memory: Memory
    subscription_id: str


async def look(
    place: Place, after: datetime | None, rules: Rules, now: float, progress: Callable[[Plan], None] = lambda _: None
) -> Plan:
    """What the dead letters created after a moment come to at `now` (unix seconds). Calls `progress` after each page.

    Raises what the client raises, `InboxUnavailable`, sqlite3.Error.
    """
    place.memory.begin(int(now * 1000), await _taken_last(place))
    looking = _Looking(place, rules, int(now * 1000))
    async for page in _pages(place, after):
        await looking.judge(page)
        progress(looking.plan)
    return looking.plan


async def _taken_last(place: Place) -> int:
    """When the endpoint took anything last, in ms: by the newest delivery that succeeded; 0: never."""
    listing = place.client.webhook_deliveries.list(subscription_id=place.subscription_id, status="succeeded", limit=1)
    async for one in listing:
        return int((one.last_attempt_at or one.created_at).timestamp() * 1000)
    return 0


async def _pages(place: Place, after: datetime | None) -> AsyncIterator[Sequence[Delivery]]:
    deliveries = place.client.webhook_deliveries.list(
        subscription_id=place.subscription_id,
        status="dead",
        unreplayed=True if (await abilities(place.client)).unreplayed else None,
        created_after=after,
    )
    async for page in deliveries.pages():
        yield page.items


class _Looking:
    def __init__(self, place: Place, rules: Rules, now: int) -> None:
        self.plan = Plan()
        self._place = place
        self._rules = rules
        self._now = now
        self._seen: set[bytes] = set()
        """Keys of the letters so far: the newest letter of an event speaks for the others."""

    async def judge(self, deliveries: Sequence[Delivery]) -> None:
        """One page of the list, which is newest first."""
        letters = [letter(delivery) for delivery in deliveries if delivery.status == "dead"]
        states = await self._states([one.key for one in letters if one.key])
        memory = self._place.memory
        subjects = {one.subject for one in letters}
        rounds, tries = memory.rounds(subjects), memory.tries(subjects)
        ours = memory.replayed([one.id for one in letters if not one.tells_replays])
        for one in letters:
            facts = Facts(
                is_test=one.is_test,
                is_erased=one.is_erased,
                is_replayed=one.is_replayed or one.id in ours or one.key in self._seen,
                was_discarded=one.was_discarded,
                is_told=one.key is not None,
                state=states.get(one.key) if one.key else None,
                rounds=rounds.get(one.subject, 0),
                tries=tries.get(one.subject, 0),
            )
            if one.key and not (one.is_test or one.is_erased):
                self._seen.add(one.key)
            await self._add(one, facts)

    async def _states(self, keys: Sequence[bytes]) -> dict[bytes, EventState | None]:
        return dict(zip(keys, await self._place.inbox.known(keys), strict=True)) if keys else {}

    async def _add(self, one: Letter, facts: Facts) -> None:
        """Its age is asked for where it matters: it may take calls."""
        verdict, born = judge(facts, self._rules), None
        if verdict in TO_REPLAY or verdict is Verdict.GIVEN_UP:
            born = await self._born(one)
            age = None if born is None else (self._now - born) / 1000
            verdict = judge(facts._replace(age=age), self._rules)
        self.plan.add(Judged(one, verdict, facts.rounds), born)

    async def _born(self, one: Letter) -> int | None:
        """When its event was first delivered, in ms; None: it cannot be told."""
        at, parent = one.created_at, one.replayed_from
        memory = self._place.memory
        if not one.tells_replays:
            first = memory.first(one.subject)
            return at if first is None else min(first, at)
        for _ in range(LINKS):
            if parent is None:
                return at
            known = memory.born(parent)
            if known is not None:
                return known
            try:
                delivery = await self._place.client.webhook_deliveries.get(parent)
            except NotFound:  # purged: older than the provider keeps anything
                return None
            at, parent = int(delivery.created_at.timestamp() * 1000), delivery.replayed_from
        return None
