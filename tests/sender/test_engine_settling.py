"""A batch that is settled is one transaction, and holds only where its leases do. Failed deliveries in a row are
counted in their order, and disable a subscription once, however many engines see it.
"""

from __future__ import annotations

import asyncio
import json
from functools import partial
from itertools import groupby
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kirimhook.contract.resources import DeliveryStatus
from kirimhook.sender.model import DeadReason
from kirimhook.sender.store import queue, settling
from kirimhook.sender.store.settling import Batch, Ended, NeedsLock, Returned, Rules, Settled
from tests.sender.databases import Databases
from tests.sender.engines import NOW, Stage, stage

MS = int(NOW * 1000)
RULES = Rules(disable_after=3, notify=True)
DEAD, SUCCEEDED, FAILED = DeliveryStatus.DEAD, DeliveryStatus.SUCCEEDED, DeliveryStatus.FAILED


def order(**fields: Any) -> queue.Order:
    known = {
        "after": "", "room": 100, "small": 16_384, "most": (100, 100), "held": {}, "versions": {}, "now": MS,
        "until": MS + 30_000, "token": "t1",
    }  # fmt: skip
    return queue.Order(**{**known, **fields})


def ended(one: queue.Leased, token: str, status: DeliveryStatus, reason: DeadReason | None = None) -> Ended:
    dead = reason or (DeadReason.ATTEMPTS_EXHAUSTED if status is DEAD else None)
    due = MS + 10_000 if status is FAILED else None
    return Ended(
        one.delivery_id, token, one.subscription_id, one.organisation_id, one.kind != "test", one.attempts + 1, status,
        dead, due, MS, MS + 5, 200, None, "{}",
    )  # fmt: skip


async def lease(stage: Stage, **fields: Any) -> list[queue.Leased]:
    return (await stage.database.write(partial(queue.lease, order=order(**fields)))).leased


async def settle(stage: Stage, *each: Ended | Returned, rules: Rules = RULES) -> Settled:
    """As the engine does."""
    batch = Batch([one for one in each if isinstance(one, Ended)], [one for one in each if isinstance(one, Returned)])
    while True:
        try:
            return await stage.database.write(partial(settling.settle, batch=batch, rules=rules))
        except NeedsLock as needed:
            batch = batch._replace(alone=needed.organisation_ids)


def test_all_of_an_attempt_is_written_together(databases: Databases) -> None:
    async def main() -> None:
        async with stage(databases) as set_up:
            await set_up.publish(await set_up.subscribe("https://localhost:1/"), 4)
            ok, failed, dead, returned = await lease(set_up)
            back = Returned(returned.delivery_id, "t1", returned.due_at)
            each = (ended(ok, "t1", SUCCEEDED), ended(failed, "t1", FAILED), ended(dead, "t1", DEAD), back)
            settled = await settle(set_up, *each)
            assert settled.held == {one.lease for one in each}
            rows = await set_up.rows(
                "SELECT id, status, dead_reason, attempt_count, next_attempt_at, last_attempt_at, finished_at"
                " FROM deliveries"
            )
            assert {row[0]: row[1:] for row in rows} == {
                ok.delivery_id: ("succeeded", None, 1, None, MS, MS + 5),
                failed.delivery_id: ("failed", None, 1, MS + 10_000, MS, None),
                dead.delivery_id: ("dead", "attempts_exhausted", 1, None, MS, MS + 5),
                returned.delivery_id: ("pending", None, 0, MS, None, None),
            }
            assert set(await set_up.rows("SELECT delivery_id, due_at, token, attempts FROM queue")) == {
                (failed.delivery_id, MS + 10_000, None, 1),
                (returned.delivery_id, MS, None, 0),
            }
            assert await set_up.value("SELECT count(*) FROM attempts") == 3
            assert await set_up.rows("SELECT id FROM notices") == [(f"dead_letters:{dead.delivery_id}",)]

    asyncio.run(main())


def test_a_lease_that_was_taken_over_is_not_settled(databases: Databases) -> None:
    """The lease ran out, another engine has the delivery: whoever comes late writes nothing at all."""

    async def main() -> None:
        async with stage(databases) as set_up:
            await set_up.publish(await set_up.subscribe("https://localhost:1/"), 2)
            first, other = await lease(set_up)
            (again, _) = await lease(set_up, now=MS + 30_000, until=MS + 60_000, token="t2")
            assert again.delivery_id == first.delivery_id
            late = await settle(set_up, ended(first, "t1", DEAD), Returned(other.delivery_id, "t1", MS))
            assert late.held == set()
            assert await set_up.rows("SELECT * FROM attempts") == []
            assert await set_up.rows("SELECT * FROM notices") == []
            assert set((await set_up.states()).values()) == {"pending"}
            assert await set_up.rows("SELECT DISTINCT token, due_at FROM queue") == [("t2", MS + 60_000)]
            both = ended(first, "t1", DEAD), ended(again, "t2", SUCCEEDED)
            settled = await settle(set_up, *both)
            assert settled.held == {both[1].lease}
            assert (await set_up.states())[first.delivery_id] == "succeeded"
            assert (await settle(set_up, both[1])).held == set(), "and only once"

    asyncio.run(main())


def test_renewals_are_fenced(databases: Databases) -> None:
    async def main() -> None:
        async with stage(databases) as set_up:
            await set_up.publish(await set_up.subscribe("https://localhost:1/"), 3)
            mine = await lease(set_up)
            (stolen,) = await lease(set_up, now=MS + 30_000, until=MS + 40_000, token="t2", room=1)
            leases = [(one.delivery_id, "t1") for one in mine]
            kept = await set_up.database.write(partial(queue.renew, leases=leases, until=MS + 90_000))
            assert kept == set(leases) - {(stolen.delivery_id, "t1")}
            due = dict(await set_up.rows("SELECT delivery_id, due_at FROM queue"))
            assert due == {one.delivery_id: MS + 90_000 for one in mine} | {stolen.delivery_id: MS + 40_000}

    asyncio.run(main())


def test_failed_deliveries_in_a_row_disable_once(databases: Databases) -> None:
    async def main() -> None:
        async with stage(databases) as set_up:
            subscription = await set_up.subscribe("https://localhost:1/")
            other = await set_up.subscribe("https://localhost:1/")
            await set_up.publish(subscription, 8)
            await set_up.publish(other, 3)
            leased = [one for one in await lease(set_up) if one.subscription_id == subscription]
            dead = [ended(one, "t1", DEAD) for one in leased]
            assert (await settle(set_up, *dead[:2])).disabled == ()
            assert await failures(set_up, subscription) == 2
            assert (await settle(set_up, ended(leased[2], "t1", SUCCEEDED))).disabled == ()
            assert await failures(set_up, subscription) == 0
            assert (await settle(set_up, ended(leased[3], "t1", FAILED))).disabled == ()
            settled = await settle(set_up, *dead[4:7])
            (disabled,) = settled.disabled
            assert (disabled.subscription_id, disabled.reason, disabled.held) == (
                subscription,
                "consecutive_failures",
                2,
            )
            row = await set_up.rows(
                "SELECT status, disabled_reason, version, held FROM subscriptions WHERE id = :i", i=subscription
            )
            assert row == [("disabled", "consecutive_failures", 2, 2)]
            assert (await settle(set_up, dead[7])).disabled == (), "once"
            assert await set_up.value("SELECT held FROM subscriptions WHERE id = :i", i=subscription) == 1
            told = await set_up.rows("SELECT notice FROM notices WHERE id LIKE 'subscription_disabled:%'")
            assert [json.loads(notice)["subscription_id"] for (notice,) in told] == [subscription]
            assert await set_up.rows("SELECT status, failures FROM subscriptions WHERE id = :i", i=other) == [
                ("active", 0)
            ]

    asyncio.run(main())


async def failures(stage: Stage, subscription: str) -> int:
    return int(await stage.value("SELECT failures FROM subscriptions WHERE id = :i", i=subscription))


def test_many_engines_disable_once(databases: Databases) -> None:
    async def main() -> None:
        async with stage(databases) as set_up:
            subscriptions = [await set_up.subscribe("https://localhost:1/") for _ in range(3)]
            for subscription in subscriptions:
                await set_up.publish(subscription, 12)
            leased = await lease(set_up)
            assert len(leased) == 36
            batches = [leased[number::6] for number in range(6)]
            settled = await asyncio.gather(
                *[settle(set_up, *[ended(one, "t1", DEAD) for one in batch]) for batch in batches]
            )
            disabled = [each.subscription_id for one in settled for each in one.disabled]
            assert sorted(disabled) == sorted(subscriptions)
            rows = await set_up.rows("SELECT status, failures, held, version FROM subscriptions")
            assert rows == [("disabled", 12, 0, 2)] * 3
            assert await set_up.value("SELECT count(*) FROM notices WHERE id LIKE 'subscription_disabled:%'") == 3

    asyncio.run(main())


@pytest.mark.parametrize("state", ["active", "disabled", "deleted"])
def test_gone_disables_at_once_what_is_active(databases: Databases, state: str) -> None:
    async def main() -> None:
        async with stage(databases) as set_up:
            subscription = await set_up.subscribe("https://localhost:1/")
            await set_up.publish(subscription, 3)
            leased = await lease(set_up)
            if state == "disabled":
                await set_up.change(
                    "UPDATE subscriptions SET status = 'disabled', disabled_reason = 'manual', held = 3"
                )
            elif state == "deleted":
                await set_up.change("UPDATE subscriptions SET deleted_at = 1")
            settled = await settle(set_up, ended(leased[0], "t1", DEAD, DeadReason.GONE))
            assert [each.reason for each in settled.disabled] == (["gone"] if state == "active" else [])
            ((status, reason, held),) = await set_up.rows("SELECT status, disabled_reason, held FROM subscriptions")
            assert (status, reason, held) == {
                "active": ("disabled", "gone", 2),
                "disabled": ("disabled", "manual", 2),
                "deleted": ("active", None, 0),
            }[state]

    asyncio.run(main())


def test_tests_do_not_count(databases: Databases) -> None:
    async def main() -> None:
        async with stage(databases) as set_up:
            subscription = await set_up.subscribe("https://localhost:1/")
            await set_up.publish(subscription, 5, kind="test")
            leased = await lease(set_up)
            await set_up.change("UPDATE subscriptions SET failures = 2")
            assert (await settle(set_up, *[ended(one, "t1", DEAD) for one in leased[:4]])).disabled == ()
            await settle(set_up, ended(leased[4], "t1", SUCCEEDED))
            assert await failures(set_up, subscription) == 2

    asyncio.run(main())


def test_a_batch_that_fails_changes_nothing(databases: Databases) -> None:
    async def main() -> None:
        async with stage(databases) as set_up:
            await set_up.publish(await set_up.subscribe("https://localhost:1/"), 2)
            one, other = await lease(set_up)
            broken = ended(other, "t1", SUCCEEDED)._replace(record=None)  # type: ignore[arg-type]  # the wrong type is the test
            with pytest.raises(Exception, match=r"(?i)null"):
                await settle(set_up, ended(one, "t1", SUCCEEDED), broken)
            assert await set_up.value("SELECT count(*) FROM queue WHERE token = 't1'") == 2
            assert (await settle(set_up, ended(one, "t1", SUCCEEDED))).held

    asyncio.run(main())


@given(st.integers(0, 5), st.lists(st.sampled_from(["dead", "succeeded", "test dead", "test succeeded"])))
def test_folding_counts_runs(before: int, said: list[str]) -> None:
    """The oracle writes out the runs."""
    leased = queue.Leased("d", "s", 0, 0, 0, "o", "original", "e", "t", "kirim", 8, 0, "e", 1, b"")
    each = [ended(leased._replace(kind=name.split()[0]), "t", DEAD if "dead" in name else SUCCEEDED) for name in said]
    counted = ["dead"] * before + [name for name in said if not name.startswith("test")]
    runs = [(name, len(list(run))) for name, run in groupby(counted)]
    at_end = runs[-1][1] if runs and runs[-1][0] == "dead" else 0
    most = max((length for name, length in runs if name == "dead"), default=0)
    assert settling.fold(before, each) == (at_end, most)
