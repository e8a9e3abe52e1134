"""Settle: what each outcome makes of an event and of its key, and that a lost lease can end nothing."""

from __future__ import annotations

import pytest

from kirimhook.receiver.model import (
    Done,
    EventState,
    Outcome,
    Parked,
    Released,
    RetryAt,
    Settlement,
    Skipped,
    SnoozeUntil,
    Unhandled,
)
from kirimhook.testing.conformance.bench import START, Bench, ids, settlements
from kirimhook.testing.conformance.suite import Suite, played

LATER = int((START + 60) * 1000)
NOW = int(START * 1000)
FINISHING: list[tuple[Outcome, EventState, int, str | None]] = [
    (Done(), EventState.DONE, 1, None),
    (Parked("gave up: 1 → ∞"), EventState.PARKED, 1, "gave up: 1 → ∞"),
    (Unhandled(), EventState.UNHANDLED, 0, None),
    (Skipped(), EventState.SKIPPED, 0, None),
]
DELAYING: list[tuple[Outcome, int, int, str | None]] = [
    (RetryAt(LATER, "timeout"), LATER, 1, "timeout"),
    (SnoozeUntil(LATER), LATER, 0, None),
    (Released(), NOW, 0, None),
]


def name(value: object) -> str | None:
    return type(value).__name__ if isinstance(value, tuple) else None


class Settling(Suite):
    @pytest.mark.parametrize(("outcome", "state", "attempts", "reason"), FINISHING, ids=name)
    @played
    async def test_what_finishes_an_event(
        self, bench: Bench, outcome: Outcome, state: EventState, attempts: int, reason: str | None
    ) -> None:
        await bench.put("k", "a", "b")
        lease = await bench.one()
        bench.clock.advance(1)
        assert await bench.end(lease, outcome) == [True]
        stored = await bench.get("a")
        assert (stored.state, stored.reason) == (state, reason)
        assert (stored.due_at, stored.has_payload) == (None, True)
        if bench.can.completion_details or state is not EventState.DONE:
            assert (stored.attempts, stored.finished_at) == (attempts, bench.now)
        assert (await bench.inbox.stats()).counts[state] == 1
        assert (await bench.get("b")).state is EventState.RUNNING  # the lease moved on to it

    @pytest.mark.parametrize(("outcome", "due", "attempts", "reason"), DELAYING, ids=name)
    @played
    async def test_what_delays_an_event_holds_its_key(
        self, bench: Bench, outcome: Outcome, due: int, attempts: int, reason: str | None
    ) -> None:
        await bench.put("k", "a", "b")
        assert await bench.end(await bench.one(), outcome) == [True]
        stored = await bench.get("a")
        assert (stored.state, stored.attempts, stored.reason) == (EventState.WAITING, attempts, reason)
        assert (bench.due(stored), stored.finished_at) == (due, None)
        assert (await bench.get("b")).due_at is None
        if due > bench.now:
            bench.clock.advance((due - bench.now) / 1000 - 0.001)
            assert await bench.lease() == []
            bench.clock.advance(0.001)
        assert [(one.event.event_id, one.attempt) for one in (await bench.one()).run] == [("a", attempts + 1), ("b", 1)]

    @played
    async def test_attempts_add_up_and_only_those_that_ended(self, bench: Bench) -> None:
        await bench.put(None, "a")
        for outcome in (
            RetryAt(NOW, "one"),
            SnoozeUntil(NOW),
            Released(),
            RetryAt(NOW, "two"),
            Released(),
            SnoozeUntil(NOW),
        ):
            await bench.end(await bench.one(), outcome)
        stored = await bench.get("a")
        assert (stored.attempts, stored.reason) == (2, "two")  # the reason of the last attempt that failed
        await bench.one()
        bench.clock.advance(31)
        await bench.end(await bench.one(), Done())
        stored = await bench.get("a")
        assert (stored.state, stored.reason) == (EventState.DONE, None)
        assert stored.attempts == 4 or not bench.can.completion_details

    @played
    async def test_a_run_settles_in_one_batch(self, bench: Bench) -> None:
        await bench.put("k", "a", "b", "c", "d")
        lease = await bench.one()
        assert await bench.end(lease, Done(), Parked("b"), Unhandled(), Skipped()) == [True] * 4
        states = [stored.state for stored in await bench.all()]
        assert states == [EventState.SKIPPED, EventState.UNHANDLED, EventState.PARKED, EventState.DONE]

    @played
    async def test_a_run_settles_across_batches_under_one_lease(self, bench: Bench) -> None:
        await bench.put("k", "a", "b", "c")
        lease = await bench.one()
        for settlement in settlements(lease, Done(), Done()):
            assert await bench.inbox.settle([settlement]) == [True]
            assert await bench.lease() == []
        last = Settlement(lease.token, lease.run[2].number, Done())
        assert await bench.inbox.settle([last, last]) == [True, False]

    @played
    async def test_a_retry_in_the_middle_keeps_the_order(self, bench: Bench) -> None:
        await bench.put("k", "a", "b", "c")
        assert await bench.end(await bench.one(), Done(), RetryAt(LATER, "later")) == [True, True]
        assert await bench.lease() == []
        bench.clock.advance(60)
        assert ids(await bench.lease()) == [("b", "c")]

    @played
    async def test_a_worker_that_does_not_go_on_leaves_the_rest_to_others(self, bench: Bench) -> None:
        await bench.put("k", "a", "b")
        lease = await bench.one()
        assert await bench.inbox.settle([Settlement(lease.token, lease.run[0].number, Done(), None)]) == [True]
        assert ids(await bench.lease()) == [("b",)]
        assert await bench.inbox.settle([Settlement(lease.token, lease.run[1].number, Done())]) == [False]

    @played
    async def test_a_run_is_settled_in_its_order_or_not_at_all(self, bench: Bench) -> None:
        await bench.put("k", "a", "b")
        lease = await bench.one()
        second = Settlement(lease.token, lease.run[1].number, Done())
        assert await bench.inbox.settle([second]) == [False]
        assert await bench.end(lease, Done(), Done()) == [True, True]

    @pytest.mark.parametrize("whose", ["of another key", "finished", "unknown"])
    @played
    async def test_going_on_with_what_is_not_of_the_run_blocks_no_key(self, bench: Bench, whose: str) -> None:
        await bench.put("k", "a", "b")
        await bench.put("z", "x")
        leases = {lease.run[0].event.event_id: lease for lease in await bench.lease()}
        run, other = leases["a"], leases["x"].run[0].number
        then = {"of another key": other, "finished": run.run[0].number, "unknown": await bench.unknown()}[whose]
        assert await bench.inbox.settle([Settlement(run.token, run.run[0].number, Done(), then)]) == [True]
        assert ids(await bench.lease()) == [("b",)]
        assert await bench.end(leases["x"], Done()) == [True]

    @pytest.mark.parametrize("outcome", [one for one, *_ in (*FINISHING, *DELAYING)], ids=name)
    @played
    async def test_a_lost_lease_changes_nothing(self, bench: Bench, outcome: Outcome) -> None:
        await bench.put("k", "a", "b")
        lost = await bench.one()
        bench.clock.advance(31)
        taken = await bench.one()
        before = await bench.all()
        assert await bench.end(lost, outcome, outcome) == [False] * len(settlements(lost, outcome, outcome))
        assert await bench.all() == before
        assert await bench.end(taken, Done(), Done()) == [True, True]

    @played
    async def test_a_lost_lease_costs_the_rest_of_its_batch_nothing(self, bench: Bench) -> None:
        await bench.put(None, "a", "b", "c")
        settled = [one for lease in await bench.lease() for one in settlements(lease, Done())]
        wrong = [settled[0]._replace(token=settled[0].token + 1), settled[1]._replace(number=await bench.unknown())]
        assert await bench.inbox.settle([*wrong, *settled]) == [False, False, True, True, True]

    @pytest.mark.parametrize("outcome", [Parked, lambda reason: RetryAt(LATER, reason)], ids=["parked", "retry"])
    @pytest.mark.parametrize(
        "reason", ["", "\ud800 lone", "nul \0 nul", "é→🙂\n" * 5_000], ids=["empty", "lone", "nul", "long"]
    )
    @played
    async def test_a_reason_may_be_any_text(self, bench: Bench, reason: str, outcome: type[Parked]) -> None:
        await bench.put(None, "a", "b")
        first, second = await bench.lease()
        assert await bench.inbox.settle(settlements(first, outcome(reason)) + settlements(second, Done())) == [True] * 2
        kept = (await bench.get(first.run[0].event.event_id)).reason
        assert kept is not None
        if reason.isascii() or reason.startswith("é"):
            assert kept.replace("\\x00", "\0") == reason  # a storage may have to write some characters otherwise
