"""Fencing: once a lease was taken over, its old holder can change nothing, through whichever handle it tries."""

from __future__ import annotations

import asyncio

import pytest

from kirimhook.receiver.inbox import Filter, Inbox
from kirimhook.receiver.model import Done, EventState, Lease, Outcome, Parked, RetryAt, Settlement
from kirimhook.testing.conformance.bench import Bench, ids, settlements
from kirimhook.testing.conformance.settling import DELAYING, FINISHING, name
from kirimhook.testing.conformance.suite import Suite, played, requires


async def taken_over(bench: Bench, by: Inbox) -> tuple[Lease, Lease]:
    """A lease of two events that ran out, and the one that another worker has instead."""
    await bench.put("k", "a", "b")
    lost = await bench.one(seconds=30)
    bench.clock.advance(31)
    (taken,) = await by.lease(10, 30)
    assert [one.number for one in taken.run] == [one.number for one in lost.run]
    return lost, taken


class Fencing(Suite):
    @requires("shared")
    @pytest.mark.parametrize("outcome", [one for one, *_ in (*FINISHING, *DELAYING)], ids=name)
    @played
    async def test_the_old_holder_changes_nothing_through_any_handle(self, bench: Bench, outcome: Outcome) -> None:
        other = await bench.another()
        lost, taken = await taken_over(bench, other)
        before = await bench.all()
        for handle in (bench.inbox, other):
            ends = settlements(lost, outcome, outcome)
            assert await handle.settle(ends) == [False] * len(ends)
            assert await handle.renew([(lost.token, one.number) for one in lost.run], 300) == [False, False]
        assert await bench.all() == before
        assert await bench.inbox.settle(settlements(taken, Done(), Done())) == [True, True]

    @requires("shared")
    @played
    async def test_what_the_new_holder_ended_stays_as_it_ended(self, bench: Bench) -> None:
        other = await bench.another()
        lost, taken = await taken_over(bench, other)
        assert await other.settle(settlements(taken, Parked("no"), Done())) == [True, True]
        assert await bench.end(lost, Done(), Parked("late")) == [False, False]
        assert await bench.state("a") is EventState.PARKED
        assert await bench.inbox.put_back(Filter(event_id="a")) == 1
        assert await bench.end(lost, Done()) == [False]
        (again,) = await other.lease(10, 30)
        assert await bench.end(lost, Done()) == await bench.end(taken, Done()) == [False]
        assert ids([again]) == [("a",)]
        assert await other.settle(settlements(again, Done())) == [True]

    @requires("shared")
    @played
    async def test_the_rest_of_a_run_is_not_reached_by_way_of_its_old_lease(self, bench: Bench) -> None:
        other = await bench.another()
        lost, taken = await taken_over(bench, other)
        first, second = (one.number for one in taken.run)
        assert await other.settle([Settlement(taken.token, first, Done(), second)]) == [True]
        assert await bench.inbox.settle([Settlement(lost.token, second, Done())]) == [False]
        assert await bench.inbox.renew([(lost.token, second)], 300) == [False]
        assert await other.settle([Settlement(taken.token, second, Done())]) == [True]

    @requires("shared")
    @played
    async def test_of_many_who_take_what_ran_out_one_has_it(self, bench: Bench) -> None:
        handles = [bench.inbox, *[await bench.another() for _ in range(3)]]
        for key in ("k", "l", "m", "n"):
            await bench.put(key, f"{key}1", f"{key}2")
        for attempt in (1, 2):
            found = await asyncio.gather(*(handle.lease(2, 30) for handle in handles * 2))
            leases = [lease for some in found for lease in some]
            assert ids(leases) == [("k1", "k2"), ("l1", "l2"), ("m1", "m2"), ("n1", "n2")]
            assert {lease.run[0].attempt for lease in leases} == {attempt}
            bench.clock.advance(31)

    @requires("shared")
    @played
    async def test_of_an_end_and_a_takeover_at_once_one_happens(self, bench: Bench) -> None:
        other = await bench.another()
        for index in range(20):
            bench.clock.advance(31)
            await bench.put("k", f"a{index}", f"b{index}")
            lease = await bench.one(seconds=30)
            bench.clock.advance(31)
            ended, taken = await asyncio.gather(bench.end(lease, Done(), Done()), other.lease(10, 30))
            assert ended == ([True, True] if not taken else [False, False])
            for one in taken:
                assert await other.settle(settlements(one, Done(), Done())) == [True, True]
            assert await bench.lease() == []

    @requires("shared")
    @played
    async def test_a_lease_is_its_token_whichever_handle_brings_it(self, bench: Bench) -> None:
        other = await bench.another()
        await bench.put("k", "a", "b")
        lease = await bench.one()
        assert await other.renew([(lease.token, lease.run[0].number)], 300) == [True]
        assert await other.settle(settlements(lease, Done(), RetryAt(bench.now, "b"))) == [True, True]
        assert [(one.event.event_id, one.attempt) for one in (await bench.one()).run] == [("b", 2)]

    @requires("shared")
    @requires("transactions")
    @played
    async def test_the_handler_of_a_lost_lease_leaves_no_effects(self, bench: Bench) -> None:
        other = await bench.another()
        lost, taken = await taken_over(bench, other)
        calls: list[str] = []

        async def transacted(lease: Lease, who: str) -> bool:
            return await bench.inbox.transact(settlements(lease, Done())[0], lambda _: calls.append(who))

        assert await transacted(lost, "lost") is False
        assert await transacted(taken, "taken") is True
        assert calls[-1] == "taken"
        assert await other.settle(settlements(taken._replace(run=taken.run[1:]), Done())) == [True]
