"""Lease and renew: whole runs of a key, one holder each, and what becomes of a lease that nobody renews."""

from __future__ import annotations

from kirimhook.receiver.model import Done, EventState, Released, RetryAt, Settlement
from kirimhook.testing.conformance.bench import Bench, ids, settlements
from kirimhook.testing.conformance.suite import Suite, played, requires


class Leasing(Suite):
    @played
    async def test_a_run_is_all_of_its_key_in_commit_order(self, bench: Bench) -> None:
        await bench.put("k", "a", "b")
        await bench.put("z", "x")
        await bench.put("k", "c")
        await bench.put(None, "p", "q")
        leases = await bench.lease()
        assert ids(leases) == [("a", "b", "c"), ("p",), ("q",), ("x",)]
        assert {one.attempt for lease in leases for one in lease.run} == {1}
        assert not any(lease.suspect for lease in leases)

    @played
    async def test_the_limit_counts_runs(self, bench: Bench) -> None:
        for key in "klm":
            await bench.put(key, f"{key}1", f"{key}2")
        assert ids(await bench.lease(limit=2)) == [("k1", "k2"), ("l1", "l2")]
        assert ids(await bench.lease(limit=2)) == [("m1", "m2")]
        assert await bench.lease() == []

    @played
    async def test_nothing_of_a_leased_key_is_leased_again(self, bench: Bench) -> None:
        await bench.put("k", "a", "b")
        held = await bench.one()
        await bench.put("k", "c")
        assert await bench.lease() == []
        await bench.end(held, Done(), Done())
        assert ids(await bench.lease()) == [("c",)]

    @played
    async def test_a_head_in_backoff_holds_its_key_and_no_other(self, bench: Bench) -> None:
        await bench.put("k", "a", "b")
        await bench.end(await bench.one(), RetryAt(bench.now + 60_000, "later"))
        await bench.put("k", "c")
        await bench.put("z", "x")
        assert ids(await bench.lease(seconds=600)) == [("x",)]
        bench.clock.advance(59)
        assert await bench.lease() == []
        bench.clock.advance(1)
        run = (await bench.one()).run
        assert [(one.event.event_id, one.attempt) for one in run] == [("a", 2), ("b", 1), ("c", 1)]

    @played
    async def test_a_hot_key_does_not_starve_the_others(self, bench: Bench) -> None:
        await bench.put("hot", *(f"hot {index}" for index in range(300)))
        await bench.put("cold", "cold")
        seen = [lease.run[0].event.event_id for _ in range(2) for lease in await bench.lease(limit=1)]
        assert sorted(seen) == ["cold", "hot 0"]

    @requires("oldest_first")
    @played
    async def test_what_has_been_due_for_longest_comes_first(self, bench: Bench) -> None:
        await bench.put(None, "retried")
        await bench.end(await bench.one(), RetryAt(bench.now + 10_000, "later"))
        bench.clock.advance(5)
        await bench.put(None, "new")
        bench.clock.advance(5)
        await bench.put(None, "newest")
        seen = [await bench.lease(limit=1) for _ in range(3)]
        assert [lease.run[0].event.event_id for (lease,) in seen] == ["new", "retried", "newest"]

    @played
    async def test_a_long_run_comes_out_whole_in_the_end(self, bench: Bench) -> None:
        names = [f"{index:03}" for index in range(200)]
        await bench.put("k", *names)
        seen = []
        while leases := await bench.lease():
            (lease,) = leases
            seen += [one.event.event_id for one in lease.run]
            assert all(await bench.end(lease, *[Done()] * len(lease.run)))
        assert seen == names

    @played
    async def test_a_lease_that_runs_out_was_an_attempt(self, bench: Bench) -> None:
        await bench.put("k", "a", "b")
        first = await bench.one(seconds=30)
        assert (await bench.get("a")).state is EventState.RUNNING
        assert (await bench.inbox.stats()).counts[EventState.RUNNING] == 1
        bench.clock.advance(30)
        assert (await bench.get("a")).state is EventState.WAITING
        assert (await bench.inbox.stats()).counts[EventState.RUNNING] == 0
        second = await bench.one()
        assert [(one.event.event_id, one.attempt) for one in second.run] == [("a", 2), ("b", 1)]
        assert second.token != first.token
        assert (await bench.get("a")).attempts == 1

    @played
    async def test_an_event_whose_lease_ran_out_twice_comes_alone(self, bench: Bench) -> None:
        await bench.put("k", "bad", "behind")
        for _ in range(2):
            assert not (await bench.one()).suspect
            bench.clock.advance(31)
        await bench.put(None, "innocent")
        leases = [await bench.one(), await bench.one()]
        assert ids(leases) == [("bad",), ("innocent",)]
        (suspect,) = [lease for lease in leases if lease.suspect]
        assert not bench.can.oldest_first or suspect is leases[0]
        assert [(one.event.event_id, one.attempt) for one in suspect.run] == [("bad", 3)]
        await bench.end(suspect, RetryAt(bench.now, "an attempt that ended"))
        again = await bench.one()
        assert not again.suspect
        assert ids([again]) == [("bad", "behind")]

    @played
    async def test_a_suspect_that_was_not_begun_stays_one(self, bench: Bench) -> None:
        await bench.put(None, "bad")
        for _ in range(2):
            await bench.one()
            bench.clock.advance(31)
        await bench.end(await bench.one(), Released())
        assert (await bench.one()).suspect

    @played
    async def test_an_expired_lease_is_still_good_until_someone_takes_it(self, bench: Bench) -> None:
        await bench.put("k", "a", "b")
        lease = await bench.one(seconds=30)
        bench.clock.advance(60)
        assert await bench.end(lease, Done(), Done()) == [True, True]
        assert await bench.state("b") is EventState.DONE

    @played
    async def test_renewing_holds_a_lease_for_longer(self, bench: Bench) -> None:
        await bench.put(None, "a", "b")
        leases = await bench.lease(seconds=30)
        bench.clock.advance(20)
        (kept, lost) = leases
        assert await bench.inbox.renew([(kept.token, kept.run[0].number)], 30) == [True]
        bench.clock.advance(20)
        assert ids(await bench.lease()) == ids([lost])
        assert await bench.end(kept, Done()) == [True]

    @played
    async def test_renewing_says_which_leases_are_lost(self, bench: Bench) -> None:
        await bench.put(None, "held", "taken", "done")
        leases = {lease.run[0].event.event_id: lease for lease in await bench.lease(seconds=30)}
        await bench.end(leases["done"], Done())
        bench.clock.advance(20)
        assert await bench.inbox.renew([(leases["held"].token, leases["held"].run[0].number)], 30) == [True]
        bench.clock.advance(20)
        taken = await bench.one()
        heads = [(lease.token, lease.run[0].number) for lease in (leases["taken"], leases["held"], leases["done"])]
        assert await bench.inbox.renew([*heads, (taken.token, await bench.unknown())], 30) == [
            False,
            True,
            False,
            False,
        ]
        assert await bench.end(taken, Done()) == [True]

    @played
    async def test_a_lease_can_be_renewed_while_a_settlement_of_its_run_is_under_way(self, bench: Bench) -> None:
        await bench.put("k", "a", "b", "c")
        lease = await bench.one(seconds=30)
        bench.clock.advance(20)
        second = lease.run[1].number
        assert await bench.inbox.renew([(lease.token, second)], 30) == [True]
        assert await bench.inbox.renew([(lease.token + 1, second)], 30) == [False]
        bench.clock.advance(20)
        assert await bench.lease() == []
        assert await bench.end(lease, Done(), Done()) == [True, True]
        bench.clock.advance(15)  # the renewal counts for what the lease moved on to
        assert [(one.event.event_id, one.attempt) for one in (await bench.one()).run] == [("c", 2)]

    @played
    async def test_a_lost_lease_is_not_renewed_by_way_of_its_followers(self, bench: Bench) -> None:
        await bench.put("k", "a", "b")
        lost = await bench.one()
        bench.clock.advance(31)
        taken = await bench.one()
        assert await bench.inbox.renew([(lost.token, lost.run[1].number)], 30) == [False]
        assert await bench.inbox.settle(settlements(taken, Done(), Done())) == [True, True]

    @played
    async def test_renewing_nothing_and_settling_nothing_is_nothing(self, bench: Bench) -> None:
        nothing: list[Settlement] = []
        assert await bench.inbox.renew([], 30) == []
        assert await bench.inbox.settle(nothing) == []
