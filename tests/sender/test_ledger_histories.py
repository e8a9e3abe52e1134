"""Whatever happens, in whatever order, the ledger balances after it, and shows what a plain model of them shows.

Publish, attempts, disable, enable, discard, delete, replay, bulk replay, tests, time, retention, in batches of three.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from functools import partial
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from kirimhook.contract.errors import ApiError
from kirimhook.contract.resources import DeliveryStatus, SubscriptionStatus
from kirimhook.sender.model import Held
from kirimhook.sender.schema import metadata
from kirimhook.sender.service import BulkReplayRequest, Changes, letters
from tests.sender.databases import Databases
from tests.sender.ledger_model import Model, Modelled, Subscribed
from tests.sender.stage import DAY, FAIL, REJECT, SUCCEED, TYPES, Stage

T = TypeVar("T")
HELD_BOUND, BULK, BATCH, MAX_SUBSCRIPTIONS = 4, 3, 3, 4
pick = st.integers(0, 1000)
COLUMNS = "subscription_id, kind, status, dead_reason, attempt_count, replayed_from, replayed_by"


class Machine(RuleBasedStateMachine):
    def __init__(self, databases: Databases) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.opened = databases.opened()
        self.stage = Stage(self.wait(self.opened.__aenter__()), held_bound=HELD_BOUND, keep_batch=BATCH)
        for table in reversed(metadata.sorted_tables):
            self.wait(self.stage.run(f"DELETE FROM {table.name}"))
        self.wait(self.stage.begin())
        self.model = Model(HELD_BOUND, BULK)

    def wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(coroutine)

    def teardown(self) -> None:
        self.wait(self.opened.__aexit__(None, None, None))
        self.runner.close()

    def choose(self, number: int, *, alive: bool = False) -> str:
        names = [name for name, one in self.model.subscriptions.items() if not alive or one.status != "deleted"]
        return names[number % len(names)]

    def is_any_alive(self) -> bool:
        return any(one.status != "deleted" for one in self.model.subscriptions.values())

    def has_deliveries(self) -> bool:
        return bool(self.model.deliveries)

    @initialize(count=st.integers(3, 12), fate=st.sampled_from([SUCCEED, FAIL, REJECT]))
    def begin(self, count: int, fate: str) -> None:
        for _ in range(2):
            self.subscribe(frozenset(TYPES))
        self.publish(count, TYPES[0])
        self.attempt(list(range(0, 2 * count, 2)), fate)

    @precondition(lambda self: len(self.model.subscriptions) < MAX_SUBSCRIPTIONS)
    @rule(types=st.frozensets(st.sampled_from(TYPES), min_size=1))
    def subscribe(self, types: frozenset[str]) -> None:
        self.model.subscriptions[self.wait(self.stage.subscribe(*sorted(types)))] = Subscribed(types)

    @rule(count=st.integers(1, 8), event_type=st.sampled_from(TYPES))
    def publish(self, count: int, event_type: str) -> None:
        self.stage.clock.advance(1)
        for event in self.wait(self.stage.publish(count, event_type)):
            query = "SELECT subscription_id, id FROM deliveries WHERE event_id = :event"
            made = dict(self.wait(self.stage.rows(query, event=event)))
            assert sorted(made) == sorted(self.model.matching(event_type))
            for subscription, delivery in made.items():
                self.model.add(Modelled(delivery, subscription, event_type, "original", self.stage.clock()))

    @precondition(is_any_alive)
    @rule(number=pick)
    def test(self, number: int) -> None:
        self.stage.clock.advance(1)
        subscription = self.choose(number, alive=True)
        made = self.wait(self.stage.tenant.test(subscription))
        self.model.add(Modelled(made.id, subscription, made.event_type, "test", self.stage.clock()))

    @precondition(lambda self: any(one.is_open for one in self.model.deliveries.values()))
    @rule(numbers=st.lists(pick, min_size=1, max_size=12), outcome=st.sampled_from([SUCCEED, FAIL, REJECT]))
    def attempt(self, numbers: list[int], outcome: str) -> None:
        opened = sorted(one.id for one in self.model.deliveries.values() if one.is_open)
        for delivery in {opened[number % len(opened)] for number in numbers}:
            last = outcome == FAIL and self.model.deliveries[delivery].attempts == 7
            self.wait(self.stage.settled(REJECT if last else outcome, delivery))
            self.model.attempt(delivery, REJECT if last else outcome)

    @precondition(is_any_alive)
    @rule(number=pick)
    def disable(self, number: int) -> None:
        subscription = self.choose(number, alive=True)
        self.wait(self.stage.tenant.update_subscription(subscription, Changes(status=SubscriptionStatus.DISABLED)))
        self.model.subscriptions[subscription].status = "disabled"

    @precondition(is_any_alive)
    @rule(number=pick, held=st.sampled_from(Held))
    def enable(self, number: int, held: Held) -> None:
        subscription = self.choose(number, alive=True)
        changes = Changes(status=SubscriptionStatus.ACTIVE, held=held)
        self.wait(self.stage.tenant.update_subscription(subscription, changes))
        self.model.enable(subscription, held is Held.DISCARD)

    @precondition(is_any_alive)
    @rule(number=pick, seldom=st.sampled_from([True, False, False]))
    def delete(self, number: int, seldom: bool) -> None:
        if not seldom:
            return
        subscription = self.choose(number, alive=True)
        self.wait(self.stage.tenant.delete_subscription(subscription))
        assert self.wait(self.stage.wrong()) == set()  # half done
        self.keep()
        self.model.delete(subscription)

    @precondition(has_deliveries)
    @rule(number=pick)
    def replay(self, number: int) -> None:
        self.stage.clock.advance(1)
        original = sorted(self.model.deliveries)[number % len(self.model.deliveries)]
        if self.model.subscriptions[self.model.deliveries[original].subscription].status == "deleted":
            with pytest.raises(ApiError):
                self.wait(self.stage.tenant.replay(original))
        else:
            receipt = self.wait(self.stage.tenant.replay(original))
            self.model.replayed(original, receipt.id, self.stage.clock())
            assert self.model.deliveries[receipt.id].status == receipt.status

    @precondition(is_any_alive)
    @rule(number=pick, status=st.sampled_from([DeliveryStatus.DEAD, DeliveryStatus.FAILED]), unreplayed=st.booleans())
    def bulk_replay(self, number: int, status: DeliveryStatus, unreplayed: bool) -> None:
        self.stage.clock.advance(1)
        subscription = self.choose(number, alive=True)
        chosen = self.model.bulk_choice(subscription, status, unreplayed)
        request = BulkReplayRequest(subscription, status, unreplayed=unreplayed)
        done = self.wait(self.stage.tenant.bulk_replay(request))
        rows = self.wait(self.stage.rows("SELECT id, replayed_from FROM deliveries WHERE kind = 'replay' ORDER BY id"))
        fresh = [row for row in rows if row[0] not in self.model.deliveries]
        assert [original for _, original in fresh] == chosen
        assert done.enqueued == len(chosen)
        for replay, original in fresh:
            self.model.replayed(original, replay, self.stage.clock())

    @rule(seconds=st.sampled_from([1, 3600, DAY, 10 * DAY, 31 * DAY]))
    def wait_a_while(self, seconds: int) -> None:
        self.stage.clock.advance(seconds)

    @rule()
    def one_round(self) -> None:
        self.wait(self.stage.sender.keep())
        assert self.wait(self.stage.wrong()) == set()
        self.keep()

    def keep(self) -> None:
        self.wait(self.stage.keep())
        self.model.keep(self.stage.clock())

    @invariant()
    def all_is_as_the_model_says(self) -> None:
        ledger = self.wait(self.stage.sender.ledger())
        assert ledger.findings == []
        accounts = {one.subscription_id: tuple(one[3:]) for one in ledger.accounts}
        assert accounts == {name: self.model.account(name) for name in self.model.subscriptions}
        statuses = {one.subscription_id: one.status for one in ledger.accounts}
        assert statuses == {name: one.status for name, one in self.model.subscriptions.items()}
        rows = {row[0]: row[1:] for row in self.wait(self.stage.rows(f"SELECT id, {COLUMNS} FROM deliveries"))}
        assert rows == {one.id: _columns(one) for one in self.model.deliveries.values()}


def _columns(one: Modelled) -> tuple[Any, ...]:
    return (
        *(one.subscription, one.kind, one.status, one.reason, one.attempts),
        *(one.replayed_from, one.replayed_by),
    )


def test_the_ledger_balances_after_every_step(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(letters, "BULK", BULK)
    examples = 15 if databases.url.startswith("sqlite") else 4
    of_histories = settings(
        max_examples=examples, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck)
    )
    factory: Any = partial(Machine, databases)
    run_state_machine_as_test(factory, settings=of_histories)
