"""What a sender promises of its deliveries, as a plain program in memory: no SQL, no batches, nothing in common."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

MONTH = 30 * 86_400
FINAL = {"succeeded", "dead"}


@dataclass
class Modelled:
    """A delivery."""

    id: str
    subscription: str
    event_type: str
    kind: str
    created: float
    status: str = "pending"
    reason: str | None = None
    attempts: int = 0
    replayed_from: str | None = None
    replayed_by: str | None = None

    @property
    def is_open(self) -> bool:
        return self.status not in FINAL

    def die(self, reason: str) -> None:
        self.status, self.reason = "dead", reason


@dataclass
class Subscribed:
    types: frozenset[str]
    status: str = "active"
    purged: dict[str, int] = field(default_factory=lambda: {"succeeded": 0, "dead": 0})


class Model:
    def __init__(self, held_bound: int, bulk: int) -> None:
        self.held_bound = held_bound
        self.bulk = bulk
        self.deliveries: dict[str, Modelled] = {}
        self.subscriptions: dict[str, Subscribed] = {}

    def of(self, subscription: str) -> list[Modelled]:
        return [one for one in self.deliveries.values() if one.subscription == subscription]

    def held(self, subscription: str) -> int:
        disabled = self.subscriptions[subscription].status == "disabled"
        return sum(one.is_open for one in self.of(subscription)) if disabled else 0

    def matching(self, event_type: str) -> list[str]:
        alive = [(name, one) for name, one in self.subscriptions.items() if one.status != "deleted"]
        return [name for name, one in alive if event_type in one.types]

    def add(self, made: Modelled) -> None:
        full = self.held(made.subscription) >= self.held_bound
        if full and self.subscriptions[made.subscription].status == "disabled":
            made.die("held_full")
        self.deliveries[made.id] = made

    def attempt(self, delivery: str, outcome: str) -> None:
        one = self.deliveries[delivery]
        one.attempts += 1
        one.status = outcome
        one.reason = "rejected" if outcome == "dead" else None

    def enable(self, subscription: str, discard: bool) -> None:
        if self.subscriptions[subscription].status != "disabled":
            return
        if discard:
            self._close(self.of(subscription), "discarded")
        self.subscriptions[subscription].status = "active"

    def delete(self, subscription: str) -> None:
        """With all rounds that follow."""
        self.subscriptions[subscription].status = "deleted"
        self._close(self.of(subscription), "subscription_deleted")

    def _close(self, some: Iterable[Modelled], reason: str) -> None:
        for one in some:
            if one.is_open:
                one.die(reason)

    def replayed(self, original: str, fresh: str, now: float) -> None:
        old = self.deliveries[original]
        old.replayed_by = fresh
        self.add(Modelled(fresh, old.subscription, old.event_type, "replay", now, replayed_from=original))

    def bulk_choice(self, subscription: str, status: str, unreplayed: bool) -> list[str]:
        """Oldest first, no millisecond in parts, unless one alone is too much."""
        wanted = [one for one in self.of(subscription) if one.status == status]
        wanted = sorted([one for one in wanted if not (unreplayed and one.replayed_by)], key=lambda one: one.id)
        if len(wanted) <= self.bulk:
            return [one.id for one in wanted]
        cut = wanted[self.bulk].created
        return [one.id for one in wanted[: self.bulk] if one.created < cut or wanted[0].created == cut]

    def keep(self, now: float) -> None:
        for one in list(self.deliveries.values()):
            if one.created >= now - MONTH:
                continue
            if one.is_open:
                one.die("expired")
            if one.kind == "original":
                self.subscriptions[one.subscription].purged[one.status] += 1
            del self.deliveries[one.id]

    def account(self, subscription: str) -> tuple[int, ...]:
        """originals, succeeded, dead, open, held, replays, tests, purged."""
        one, mine = self.subscriptions[subscription], self.of(subscription)
        originals = [delivery for delivery in mine if delivery.kind == "original"]
        count = {name: sum(delivery.status == name for delivery in originals) for name in ("succeeded", "dead")}
        is_open = sum(delivery.is_open for delivery in originals)
        purged = sum(one.purged.values())
        return (
            len(originals) + purged,
            count["succeeded"] + one.purged["succeeded"],
            count["dead"] + one.purged["dead"],
            is_open,
            is_open if one.status == "disabled" else 0,
            sum(delivery.kind == "replay" for delivery in mine),
            sum(delivery.kind == "test" for delivery in mine),
            purged,
        )
