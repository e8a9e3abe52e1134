"""A look judges every letter by what the API, the inbox and the memory say of it; also over an API that knows no more
than is publicly documented, where the memory keeps a letter from being replayed again and again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from kirimhook.contract import samples
from kirimhook.operating.reconciling.canary import MOST, PATIENCE, Outcome, Probe, probe
from kirimhook.operating.reconciling.looking import Place, look
from kirimhook.operating.reconciling.plan import Plan
from kirimhook.operating.reconciling.replays import Resumed
from kirimhook.operating.reconciling.verdicts import DAY, MOST_ROUNDS, Rules, Verdict
from tests.operating.reconciling.placed import event_ids, hold, run
from tests.operating.replaying.conftest import databases, state
from tests.operating.replaying.provider import Provider
from tests.sender.api import subscribe
from tests.sender.databases import Databases

__all__ = ["databases", "state"]

USUAL = Rules()


async def seen(provider: Provider, place: Place, rules: Rules = USUAL) -> Plan:
    return await look(place, None, rules, provider.world.clock())


def counts(plan: Plan) -> dict[Verdict, int]:
    return {verdict: count for verdict, count in plan.counts.items() if count}


def events(plan: Plan) -> Sequence[str]:
    return [one.letter.event_id for one in plan.in_order()]


@pytest.mark.parametrize("knows_ours", [True, False])
def test_what_the_inbox_holds_is_told_from_what_it_lacks(
    databases: Databases, tmp_path: Path, knows_ours: bool
) -> None:
    async def test(provider: Provider, place: Place) -> None:
        await provider.dead(230)
        ids = await event_ids(provider)
        await hold(place.inbox, *ids[::2])
        told: list[int] = []
        plan = await look(place, None, USUAL, provider.world.clock(), lambda plan: told.append(plan.looked_at))
        assert counts(plan) == {Verdict.HELD: 115, Verdict.MISSING: 115}
        assert sorted(events(plan)) == sorted(ids[1::2])
        assert told == [100, 200, 230]

    run(databases, tmp_path, test, knows_ours=knows_ours)


@pytest.mark.parametrize("knows_ours", [True, False])
def test_what_dies_again_and_again_is_replayed_so_often_and_no_oftener(
    databases: Databases, tmp_path: Path, knows_ours: bool
) -> None:
    async def test(provider: Provider, place: Place) -> None:
        await subscribe(provider.world.api)  # another one: its letters are nobody's business here
        made = await provider.client.webhook_subscriptions.update(
            provider.subscription, events=["contact.created", "message.status"]
        )
        assert made.status == "active"
        await provider.dead(5)
        for name in ("sent", "delivered", "read"):
            body = samples.load(f"message.status.{name}").renewed(event_id="wamid.A").body
            await provider.client.events.publish_raw(body, source="meta", type="message.status", event_id="wamid.A")
        await provider.die()
        for round_ in range(MOST_ROUNDS + 3):
            provider.world.clock.advance(60)
            plan = await seen(provider, place)
            due = 8 if round_ < MOST_ROUNDS else 0
            assert len(plan.wanted) == due
            tally = await Resumed(place, provider.world.clock).replay(plan.in_order())
            assert tally.replayed == due
            await provider.die()
        assert counts(plan)[Verdict.GIVEN_UP] == 8
        rows = await provider.databases.rows("SELECT event_id FROM deliveries WHERE kind = 'replay'")
        found = Counter(row[0] for row in rows)
        assert found.pop("wamid.A") == 3 * MOST_ROUNDS
        assert set(found.values()) == {MOST_ROUNDS}
        assert len(found) == 5
        assert counts(await seen(provider, place, Rules(most=None)))[Verdict.MISSING] == 5

    run(databases, tmp_path, test, knows_ours=knows_ours)


def test_a_replays_age_is_its_events(databases: Databases, tmp_path: Path) -> None:
    """By following the replays back, unless we made them ourselves; where that ends in nothing, it is too old."""

    async def test(provider: Provider, place: Place) -> None:
        [first] = await provider.dead(1)
        for _ in range(2):
            provider.world.clock.advance(10 * DAY)
            letters = [one async for one in place.client.webhook_deliveries.list(status="dead", unreplayed=True)]
            await place.client.webhook_deliveries.replay(letters[0].id)
            await provider.die()
        assert counts(await seen(provider, place)) == {Verdict.MISSING: 1}
        provider.world.clock.advance(11 * DAY)
        plan = await seen(provider, place)
        assert counts(plan) == {Verdict.TOO_OLD: 1}
        assert counts(await seen(provider, place, Rules(horizon=40 * DAY))) == {Verdict.MISSING: 1}
        await provider.run(f"DELETE FROM deliveries WHERE id = '{first}'")
        assert counts(await seen(provider, place, Rules(horizon=400 * DAY))) == {Verdict.TOO_OLD: 1}

    run(databases, tmp_path, test)


def test_of_a_replay_that_we_made_the_age_is_remembered_when_its_original_is_purged(
    databases: Databases, tmp_path: Path
) -> None:
    async def test(provider: Provider, place: Place) -> None:
        [first] = await provider.dead(1)
        await Resumed(place, provider.world.clock).replay((await seen(provider, place)).in_order())
        await provider.die()
        provider.world.clock.advance(29 * DAY)
        await provider.run(f"DELETE FROM deliveries WHERE id = '{first}'")
        assert counts(await seen(provider, place)) == {Verdict.MISSING: 1}
        provider.world.clock.advance(2 * DAY)
        assert counts(await seen(provider, place)) == {Verdict.TOO_OLD: 1}

    run(databases, tmp_path, test)


def test_an_api_that_does_not_tell_replays_has_one_letter_of_an_event_replayed_and_its_age_remembered(
    databases: Databases, tmp_path: Path
) -> None:
    """Somebody else replayed it, and that died too: two letters of one event, which nothing links."""

    async def test(provider: Provider, place: Place) -> None:
        [first] = await provider.dead(1)
        await provider.client.webhook_deliveries.replay(first)
        await provider.die()
        plan = await seen(provider, place)
        assert counts(plan) == {Verdict.MISSING: 1, Verdict.REPLAYED: 1}
        provider.world.clock.advance(20 * DAY)
        await Resumed(place, provider.world.clock).replay(plan.in_order())
        await provider.die()
        assert counts(await seen(provider, place)) == {Verdict.MISSING: 1, Verdict.REPLAYED: 2}
        provider.world.clock.advance(11 * DAY)  # the newest letter is 11 days old, its event 31
        assert counts(await seen(provider, place))[Verdict.TOO_OLD] == 1

    run(databases, tmp_path, test, knows_ours=False)


def test_what_was_erased_is_nobodys_business(databases: Databases, tmp_path: Path) -> None:
    async def test(provider: Provider, place: Place) -> None:
        dead = await provider.dead(5)
        await provider.run(f"UPDATE deliveries SET event_id = '' WHERE id IN ('{dead[0]}', '{dead[1]}', '{dead[2]}')")
        assert counts(await seen(provider, place)) == {Verdict.ERASED: 3, Verdict.MISSING: 2}

    run(databases, tmp_path, test)


def test_what_was_discarded_on_purpose_is_left_unless_it_is_asked_for(databases: Databases, tmp_path: Path) -> None:
    async def test(provider: Provider, place: Place) -> None:
        await provider.dead(2)
        await provider.run("UPDATE deliveries SET dead_reason = 'discarded'")
        assert counts(await seen(provider, place)) == {Verdict.DISCARDED: 2}
        assert counts(await seen(provider, place, Rules(discarded=True))) == {Verdict.MISSING: 2}

    run(databases, tmp_path, test)


END = "UPDATE deliveries SET status = '{}', response_status = {}, last_error = {} WHERE kind = 'replay'"
ENDINGS = {
    "delivered": ("succeeded", "200", "NULL"),
    "bad": ("dead", "400", "NULL"),
    "gone by": ("dead", "503", "NULL"),
    "cut": ("dead", "NULL", "'connect: refused'"),
    "later": ("failed", "503", "NULL"),
}


@pytest.mark.parametrize("knows_ours", [True, False])
@pytest.mark.parametrize(
    ("ending", "is_held", "outcome", "sent"),
    [
        ("delivered", True, Outcome.TAKEN, 1),
        ("delivered", False, Outcome.ELSEWHERE, MOST),
        ("bad", False, Outcome.REFUSED, MOST),
        ("gone by", False, Outcome.FAILED, 1),
        ("cut", False, Outcome.FAILED, 1),
        ("later", False, Outcome.FAILED, 1),
        (None, True, Outcome.TAKEN, 1),
        (None, False, Outcome.SILENT, 1),
    ],
)
def test_a_canary_says_how_the_endpoint_is(
    databases: Databases,
    tmp_path: Path,
    ending: str | None,
    is_held: bool,
    outcome: Outcome,
    sent: int,
    knows_ours: bool,
) -> None:
    """`ending`: what becomes of a replay while it is waited for; `is_held`: its event arrives in the inbox."""

    async def test(provider: Provider, place: Place) -> None:
        await provider.dead(10)
        plan, waited, noted = await seen(provider, place), 0.0, list[str]()

        async def sleep(seconds: float) -> None:
            nonlocal waited
            waited += seconds
            if ending is not None:
                await provider.run(END.format(*ENDINGS[ending]))
            if is_held:
                await hold(place.inbox, *await event_ids(provider))

        found: Probe = await probe(place, plan.wanted, lambda one: noted.append(one.letter.id), sleep)
        if not knows_ours and outcome is Outcome.FAILED and ENDINGS[ending or ""][0] == "dead":
            assert found.outcome is Outcome.REFUSED  # it does not say of what it died
            return
        assert (found.outcome, len(found.sent), found.is_taken) == (outcome, sent, outcome is Outcome.TAKEN)
        assert found.is_elsewhere == (outcome is Outcome.ELSEWHERE)
        assert noted == [one.letter.id for one in found.sent] == await provider.replayed()
        assert waited >= PATIENCE if outcome is Outcome.SILENT else waited < PATIENCE

    run(databases, tmp_path, test, knows_ours=knows_ours)
