"""The ledger balances where every delivery is accounted for, and says which rule is broken where one is not.

Each rule is broken once, on a database that balanced before, by a statement that none of our code would make.
"""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import Connection, text

from kirimhook.contract.resources import SubscriptionStatus
from kirimhook.sender.service import Changes
from kirimhook.sender.service.accounting import Ledger, taken
from kirimhook.sender.store.ledger import CHECKS, ROWS
from tests.sender.databases import Databases
from tests.sender.stage import DAY, FAIL, REJECT, SUCCEED, TYPES, Stage, staged

SUCCEEDED = "(SELECT min(id) FROM deliveries WHERE status = 'succeeded' AND kind = 'original')"
FAILED = "(SELECT min(id) FROM deliveries WHERE status = 'failed' AND kind = 'original')"
DEAD = "(SELECT min(id) FROM deliveries WHERE status = 'dead' AND kind = 'original')"
TEST = "(SELECT min(id) FROM deliveries WHERE kind = 'test')"
REPLAY = "(SELECT min(id) FROM deliveries WHERE kind = 'replay')"
DELETED = "FROM subscriptions WHERE deleted_at IS NOT NULL"
UNMATCHED = (
    "event = (SELECT id FROM events WHERE event_id = 'evt_5'), event_id = 'evt_5', event_type = 'contact.updated'"
)

BROKEN: list[tuple[str, str]] = [
    ("known_status account", f"UPDATE deliveries SET status = 'lost' WHERE id = {DEAD}"),
    ("known_kind account", f"UPDATE deliveries SET kind = 'copy' WHERE id = {DEAD}"),
    ("known_kind total matches account", f"UPDATE deliveries SET original = NULL WHERE id = {DEAD}"),
    ("known_kind total matches account", f"UPDATE deliveries SET original = true WHERE id = {TEST}"),
    ("finished", f"UPDATE deliveries SET finished_at = NULL WHERE id = {DEAD}"),
    ("finished", f"UPDATE deliveries SET finished_at = 1 WHERE id = {FAILED}"),
    ("reasoned", f"UPDATE deliveries SET dead_reason = NULL WHERE id = {DEAD}"),
    ("reasoned", f"UPDATE deliveries SET dead_reason = 'bored' WHERE id = {DEAD}"),
    ("reasoned", f"UPDATE deliveries SET dead_reason = 'gone' WHERE id = {SUCCEEDED}"),
    ("next_attempt", f"UPDATE deliveries SET next_attempt_at = NULL WHERE id = {FAILED}"),
    ("next_attempt", f"UPDATE deliveries SET next_attempt_at = 1 WHERE id = {DEAD}"),
    ("attempted recorded", f"UPDATE deliveries SET attempt_count = 0 WHERE id = {SUCCEEDED}"),
    ("attempted recorded", f"UPDATE deliveries SET attempt_count = 9 WHERE id = {SUCCEEDED}"),
    ("recorded", f"UPDATE deliveries SET attempt_count = 2 WHERE id = {SUCCEEDED}"),
    ("recorded", f"DELETE FROM attempts WHERE delivery_id = {SUCCEEDED}"),
    ("recorded", f"UPDATE attempts SET number = 7 WHERE delivery_id = {SUCCEEDED}"),
    ("replayed_from", f"UPDATE deliveries SET replayed_from = NULL WHERE id = {REPLAY}"),
    ("replayed_from", f"UPDATE deliveries SET replayed_from = id WHERE id = {SUCCEEDED}"),
    ("queued", f"DELETE FROM queue WHERE delivery_id = {FAILED}"),
    ("open", f"INSERT INTO queue SELECT id, subscription_id, 0, 1, NULL, 1 FROM deliveries WHERE id = {SUCCEEDED}"),
    ("open", "INSERT INTO queue SELECT 'wbd_x', subscription_id, 0, 1, NULL, 0 FROM deliveries LIMIT 1"),
    ("open", f"UPDATE queue SET subscription_id = 'wbs_x' WHERE delivery_id = {FAILED}"),
    ("counted_in_queue", f"UPDATE queue SET attempts = 5 WHERE delivery_id = {FAILED}"),
    ("attempt_of_nothing", "INSERT INTO attempts VALUES ('wbd_x', 1, '{}')"),
    ("event total", "DELETE FROM events WHERE event_id = 'evt_0'"),
    ("event", "UPDATE events SET event_id = 'evt_x' WHERE event_id = 'evt_0'"),
    ("event", f"UPDATE deliveries SET event_type = 'contact.updated' WHERE id = {SUCCEEDED}"),
    ("event", f"UPDATE deliveries SET source = 'meta' WHERE id = {SUCCEEDED}"),
    ("matches total", "UPDATE events SET matches = matches + 1 WHERE event_id = 'evt_0'"),
    ("matches total", "UPDATE events SET matches = matches - 1 WHERE event_id = 'evt_0'"),
    ("total", "UPDATE organisations SET purged_matches = 1 WHERE name = 'acme'"),
    ("total matches attempt_of_nothing", f"DELETE FROM deliveries WHERE id = {SUCCEEDED}"),
    ("matches", f"UPDATE deliveries SET {UNMATCHED} WHERE id = {SUCCEEDED}"),
    ("subscription event", f"UPDATE deliveries SET organisation_id = 'org_x' WHERE id = {REPLAY}"),
    ("subscription", f"UPDATE deliveries SET subscription_id = 'wbs_x' WHERE id = {REPLAY}"),
    ("held", "UPDATE subscriptions SET held = held + 1 WHERE status = 'active' AND deleted_at IS NULL"),
    ("held", "UPDATE subscriptions SET held = held - 1 WHERE status = 'disabled'"),
    ("deleted", f"INSERT INTO subscribed_types SELECT organisation_id, 'contact.created', id, 0 {DELETED}"),
    ("total", "UPDATE subscriptions SET purged_dead = 1 WHERE deleted_at IS NOT NULL"),
]


async def history(stage: Stage) -> None:
    """Something of everything: statuses, kinds, attempts; an active, a disabled and a deleted subscription."""
    active, disabled, deleted = [await stage.subscribe(TYPES[0]) for _ in range(3)]
    await stage.publish(5)
    await stage.publish(1, TYPES[1])  # which matches nothing
    for outcome, place in ((SUCCEED, 0), (FAIL, 1), (REJECT, 2), (FAIL, 3)):
        for subscription in (active, disabled, deleted):
            await stage.settled(outcome, (await stage.ids(subscription=subscription))[place])
    replays = [await stage.tenant.replay(one) for one in await stage.ids("dead", active)]
    await stage.settled(SUCCEED, replays[0].id)
    await stage.tenant.replay((await stage.ids("succeeded", active))[0])
    await stage.tenant.test(active)
    await stage.tenant.update_subscription(disabled, Changes(status=SubscriptionStatus.DISABLED))
    await stage.tenant.delete_subscription(deleted)


class Undone(Exception):
    """Carries what was found out of a transaction that is rolled back."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__()
        self.ledger = ledger


async def corrupted(stage: Stage, corruption: str) -> Ledger:
    """The ledger of the database with this done to it, which is then undone."""

    def operation(connection: Connection) -> None:
        connection.execute(text(corruption))
        raise Undone(taken(connection))

    with pytest.raises(Undone) as undone:
        await stage.database.write(operation)
    return undone.value.ledger


def test_a_broken_rule_is_found(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            await history(stage)
            assert await stage.wrong() == set()
            for expected, corruption in BROKEN:
                ledger = await corrupted(stage, corruption)
                assert not ledger.balances, corruption
                wrong = {finding.check for finding in ledger.findings}
                assert wrong >= set(expected.split()), corruption  # what is false once is often false twice
                assert all(finding.times >= 1 and finding.example for finding in ledger.findings)
            assert await stage.wrong() == set()

    asyncio.run(main())


def test_two_originals_are_found(databases: Databases) -> None:
    """Which the database itself refuses while its index is there."""

    async def main() -> None:
        async with staged(databases) as stage:
            await history(stage)
            await stage.run("DROP INDEX uq_deliveries_event")
            assert await stage.wrong() == set()
            await stage.run(
                "UPDATE deliveries SET kind = 'original', original = true, replayed_from = NULL WHERE id = " + REPLAY
            )
            assert "one_original" in await stage.wrong()

    asyncio.run(main())


def test_every_rule_has_been_broken() -> None:
    names = {name for expected, _ in BROKEN for name in expected.split()}
    rules = {name for name, _, _ in ROWS} | {check.name for check in CHECKS} | {"account", "total"}
    assert rules - names == {"one_original"}  # above


def test_what_is_counted(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            await history(stage)
            ledger = await stage.sender.ledger()
            assert ledger.balances
            shown = {
                a.status: (a.originals, a.succeeded, a.dead, a.open, a.held, a.replays, a.tests)
                for a in ledger.accounts
            }
            assert shown == {
                "active": (5, 1, 1, 3, 0, 2, 1),
                "disabled": (5, 1, 1, 3, 3, 0, 0),
                "deleted": (5, 1, 4, 0, 0, 0, 0),
            }
            (total,) = ledger.totals
            assert (total.name, total.matched, total.originals) == ("acme", 15, 15)

    asyncio.run(main())


def test_organisations_are_apart(databases: Databases) -> None:
    """What one has too many does not make up for what another has too few."""

    async def main() -> None:
        async with staged(databases) as stage:
            await stage.subscribe()
            await stage.publish(2)
            first, stage.organisation = stage.organisation, await stage.another("other")
            await stage.subscribe()
            await stage.publish(2)
            assert await stage.wrong() == set()
            await stage.run("UPDATE organisations SET purged_matches = 1 WHERE id = :id", id=first)
            await stage.run("UPDATE organisations SET purged_matches = -1 WHERE id <> :id", id=first)
            (finding,) = (await stage.sender.ledger()).findings
            assert (finding.check, finding.times) == ("total", 2)

    asyncio.run(main())


def test_an_empty_database_balances(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            ledger = await stage.sender.ledger()
            assert ledger.balances
            assert ledger.accounts == []
            assert [total.matched for total in ledger.totals] == [0]

    asyncio.run(main())


def test_it_balances_at_any_moment(databases: Databases) -> None:
    """While events are published, attempted, replayed, disabled, discarded and purged: one snapshot of it all."""

    async def main() -> None:
        async with staged(databases, keep_batch=5) as stage:
            subscription = await stage.subscribe()
            over = False

            async def working() -> None:
                nonlocal over
                for _ in range(6):
                    await asyncio.gather(stage.publish(10), stage.publish(10))
                    await stage.settled(SUCCEED, *(await stage.ids("pending"))[:5])
                    await stage.settled(REJECT, *(await stage.ids("pending"))[:5])
                    await stage.tenant.replay((await stage.ids("dead"))[0])
                    for status in (SubscriptionStatus.DISABLED, SubscriptionStatus.ACTIVE):
                        await stage.tenant.update_subscription(subscription, Changes(status=status))
                    stage.clock.advance(10 * DAY)
                    await stage.keep()
                over = True

            async def looking() -> int:
                number = 0
                while not over:
                    assert await stage.wrong() == set()
                    number += 1
                return number

            _, looked = await asyncio.gather(working(), looking())
            assert looked > 5

    asyncio.run(main())
