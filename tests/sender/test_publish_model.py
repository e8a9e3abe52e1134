"""Whatever an organisation does, its deliveries are those of a model that knows nothing of SQL.

The model: a set of events seen, a map of subscriptions, and a rule of a line for each thing that can happen. Each
example is an organisation of its own on one database, so they also must not see each other.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from dataclasses import dataclass, field
from hashlib import sha256

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kirimhook.contract.resources import SubscriptionStatus
from kirimhook.sender.model import NewEvent
from kirimhook.sender.service import Changes, Sender, Tenant
from tests.sender.databases import Databases
from tests.sender.stage import Stage

TYPES = ("contact.created", "contact.updated", "message.status")
BOUND = 2
ROWS = (
    "SELECT d.subscription_id, e.source, d.event_id, d.event_type, e.body, d.status, d.dead_reason, q.rank"
    " FROM deliveries d JOIN events e ON e.id = d.event LEFT JOIN queue q ON q.delivery_id = d.id"
    " WHERE d.organisation_id = :org"
)

types = st.lists(st.sampled_from(TYPES), min_size=1, max_size=3)
which = st.integers(0, 3)
events = st.builds(
    NewEvent,
    st.sampled_from(["meta", "kirim"]),
    st.sampled_from(["a", "b", "c", "d"]),
    st.sampled_from(TYPES),
    st.sampled_from([b"{}", b'{"x":1}']),
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("subscribe"), types),
        st.tuples(st.just("publish"), st.lists(events, min_size=1, max_size=8)),
        st.tuples(st.sampled_from(["disable", "enable", "delete"]), which),
        st.tuples(st.just("change"), which, types),
    ),
    min_size=2,
    max_size=12,
).map(lambda steps: [("subscribe", list(TYPES)), *steps])

Identity = tuple[str, str, str]
"""Source, event id, and for a status its body."""


@dataclass
class Subscribed:
    types: set[str]
    active: bool = True
    deleted: bool = False
    made: list[tuple[Identity, str]] = field(default_factory=list)
    """What it got, and whether that is `live`, `held` or dead for a reason."""

    def held(self) -> int:
        return sum(state in {"live", "held"} for _, state in self.made)


class Model:
    def __init__(self) -> None:
        self.seen: dict[Identity, int] = {}
        self.subscriptions: dict[str, Subscribed] = {}

    def publish(self, event: NewEvent) -> tuple[int, bool]:
        """How many deliveries, and whether it was known."""
        is_status = event.type == "message.status"
        identity = (event.source, event.event_id, sha256(event.body).hexdigest() if is_status else "")
        if identity in self.seen:
            return self.seen[identity], True
        wanting = [s for s in self.subscriptions.values() if event.type in s.types and not s.deleted]
        for subscribed in wanting:
            full = subscribed.held() >= BOUND
            subscribed.made.append((identity, "live" if subscribed.active else "held_full" if full else "held"))
        self.seen[identity] = len(wanting)
        return len(wanting), False

    def enable(self, subscribed: Subscribed) -> None:
        """What it holds goes behind live traffic."""
        if not subscribed.active:
            subscribed.made = [(i, "held" if state == "live" else state) for i, state in subscribed.made]
        subscribed.active = True

    def delete(self, subscribed: Subscribed) -> None:
        opened = {"live", "held"}
        subscribed.made = [(i, "subscription_deleted" if s in opened else s) for i, s in subscribed.made]
        subscribed.deleted = True

    def deliveries(self) -> Counter[tuple[str, Identity, str]]:
        return Counter((name, i, state) for name, s in self.subscriptions.items() for i, state in s.made)


async def play(tenant: Tenant, model: Model, steps: list[tuple[object, ...]]) -> None:
    for step in steps:
        match step:
            case ("subscribe", list(wanted)):
                made = await tenant.create_subscription("https://example.com/", wanted)
                model.subscriptions[made.id] = Subscribed(set(wanted))
            case ("publish", list(batch)):
                receipts = await tenant.publish(batch)
                told = [(receipt.deliveries, receipt.duplicate) for receipt in receipts]
                assert told == [model.publish(event) for event in batch]
            case (str(verb), int(number), *rest):
                alive = [name for name, s in model.subscriptions.items() if not s.deleted]
                if alive:
                    await change(tenant, model, alive[number % len(alive)], verb, rest)


async def change(tenant: Tenant, model: Model, name: str, verb: str, rest: list[object]) -> None:
    subscribed = model.subscriptions[name]
    match verb, rest:
        case "disable", _:
            await tenant.update_subscription(name, Changes(status=SubscriptionStatus.DISABLED))
            subscribed.active = False
        case "enable", _:
            await tenant.update_subscription(name, Changes(status=SubscriptionStatus.ACTIVE))
            model.enable(subscribed)
        case "delete", _:
            await tenant.delete_subscription(name)
            model.delete(subscribed)
        case "change", [list(wanted)]:
            await tenant.update_subscription(name, Changes(events=wanted))
            subscribed.types = set(wanted)


async def stored(stage: Stage, organisation: str) -> Counter[tuple[str, Identity, str]]:
    found: Counter[tuple[str, Identity, str]] = Counter()
    for name, source, event_id, event_type, body, status, reason, rank in await stage.rows(ROWS, org=organisation):
        identity = (source, event_id, sha256(body).hexdigest() if event_type == "message.status" else "")
        assert (status == "pending") == (rank is not None), "open deliveries, and no other, are in the queue"
        found[name, identity, {0: "live", 1: "held"}.get(rank, reason)] += 1
    return found


numbers = itertools.count()


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps)
def test_deliveries_are_those_of_the_model(databases: Databases, steps: list[tuple[object, ...]]) -> None:
    async def main() -> None:
        async with databases.opened() as database:
            stage = Stage(database, held_bound=BOUND)
            sender = Sender(database, stage.settings, stage.sender.context.sealer, clock=stage.clock)
            organisation = (await sender.create_organisation_key(f"organisation {next(numbers)}")).organisation_id
            model = Model()
            await play(sender.tenant(organisation), model, steps)
            assert await stored(stage, organisation) == model.deliveries()
            assert await stage.wrong() == set()

    asyncio.run(main())
