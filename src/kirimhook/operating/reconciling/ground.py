"""What a reconciling does to the world: looks, probes, replays, asks how the endpoint is, enables it again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from kirimhook.contract.resources import SubscriptionStatus
from kirimhook.operating.reconciling import canary
from kirimhook.operating.reconciling.canary import Canary, Outcome, Probe
from kirimhook.operating.reconciling.looking import Place, look
from kirimhook.operating.reconciling.plan import Plan, Wanted
from kirimhook.operating.reconciling.replays import Replayer
from kirimhook.operating.reconciling.verdicts import DAY, DEDUPE_DAYS, Rules
from kirimhook.operating.replaying import Tally

BY_ITSELF = "consecutive_failures"
"""The reason of a subscription that the provider disabled. What a person disabled, and what is gone, stays so."""
KEPT = 2 * DEDUPE_DAYS * DAY
"""Seconds that a replay is remembered: longer than any delivery is listed."""


class World(Protocol):
    """All of it, for one subscription."""

    async def unusable(self) -> str | None:
        """Why its subscription is disabled; None when it is active, or has been enabled again now."""
        ...

    async def finish(self) -> Tally:
        """What an earlier run was interrupted in."""
        ...

    async def look(self) -> Plan: ...

    async def is_ready(self) -> bool:
        """What the receiver says of itself; True where nobody is asked."""
        ...

    async def probe(self, wanted: Sequence[Wanted]) -> Probe: ...

    async def replay(self, wanted: Sequence[Wanted]) -> Tally: ...

    async def has_recovered(self) -> bool:
        """Whether the endpoint took anything since the last probe that it did not take."""
        ...

    def spent(self) -> int:
        """How many were replayed in the last hour."""
        ...

    def room_at(self, budget: int) -> float:
        """When fewer than `budget` will have been replayed in the hour before (unix seconds)."""
        ...


@dataclass(frozen=True, slots=True)
class Options:
    """`enable`: a subscription that the provider disabled is enabled again."""

    after: Callable[[float], datetime | None] = lambda _: None
    """Only letters created after this moment, for the present one (unix seconds)."""
    rules: Rules = field(default_factory=Rules)
    enable: bool = False


class Ground:
    """The real one. `ready` asks the receiver. `clock` gives unix seconds."""

    def __init__(
        self,
        place: Place,
        options: Options,
        replayer: Replayer,
        clock: Callable[[], float],
        *,
        ready: Callable[[], Awaitable[bool]] | None = None,
        progress: Callable[[Plan], None] = lambda _: None,
    ) -> None:
        self._place = place
        self._options = options
        self._replayer = replayer
        self._clock = clock
        self._ready = ready
        self._progress = progress
        self._open: tuple[Canary, ...] = ()
        """Canaries of the last probe that was not taken, which the provider goes on trying."""
        self._was_ready = True
        self._since = clock()

    async def unusable(self) -> str | None:
        subscriptions = self._place.client.webhook_subscriptions
        found = await subscriptions.get(self._place.subscription_id)
        if found.status is SubscriptionStatus.ACTIVE:
            return None
        if not self._options.enable or found.disabled_reason != BY_ITSELF or not await self.is_ready():
            return found.disabled_reason or "not said"
        await subscriptions.update(self._place.subscription_id, status="active")
        return None

    async def finish(self) -> Tally:
        return await self._replayer.finish()

    async def look(self) -> Plan:
        now = self._clock()
        self._place.memory.forget(int((now - KEPT) * 1000))
        return await look(self._place, self._options.after(now), self._options.rules, now, self._progress)

    async def is_ready(self) -> bool:
        self._was_ready = self._ready is None or await self._ready()
        return self._was_ready

    async def probe(self, wanted: Sequence[Wanted]) -> Probe:
        self._since = self._clock()
        memory = self._place.memory
        done = await canary.probe(self._place, wanted, lambda one: memory.note([one], self._now(), in_vain=True))
        at_fault = {one.letter.id for one in done.sent if done.is_taken or one.is_events_fault}
        memory.note([one for one in wanted if one.letter.id in at_fault], self._now())
        self._open = () if done.is_taken else tuple(one for one in done.sent if one.delivery_id)
        return done

    async def replay(self, wanted: Sequence[Wanted]) -> Tally:
        return await self._replayer.replay(wanted)

    async def has_recovered(self) -> bool:
        if self._ready is not None and not self._was_ready:
            return await self.is_ready()
        for one in self._open:
            if one.delivery_id is not None:
                outcome, _ = await canary.outcome_of(self._place, one.letter, one.delivery_id)
                if outcome is Outcome.TAKEN:
                    return True
        return await self._has_succeeded()

    async def _has_succeeded(self) -> bool:
        """Whether anything that was created since the last probe was delivered."""
        since = datetime.fromtimestamp(self._since, UTC)
        deliveries = self._place.client.webhook_deliveries.list(
            subscription_id=self._place.subscription_id, status="succeeded", created_after=since, limit=1
        )
        async for page in deliveries.pages():
            return bool(page.items)
        return False

    def spent(self) -> int:
        return self._place.memory.spent(self._now())

    def room_at(self, budget: int) -> float:
        return self._place.memory.room_at(budget, self._now()) / 1000

    def _now(self) -> int:
        return int(self._clock() * 1000)
