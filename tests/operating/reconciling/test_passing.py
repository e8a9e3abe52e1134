"""One pass tries one letter, then replays the others, each once; what an endpoint refuses is held against the event
only where it is the event's fault."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from kirimhook.client import InvalidRequest
from kirimhook.contract.errors import ApiError
from kirimhook.operating.reconciling.ground import Ground, Options
from kirimhook.operating.reconciling.looking import Place
from kirimhook.operating.reconciling.passing import Pass, Stopped, reconcile
from kirimhook.operating.reconciling.replays import PURPOSE, STALE, Resumed
from kirimhook.operating.reconciling.verdicts import Verdict
from kirimhook.operating.replaying import Snapshot
from kirimhook.operating.replaying import place as snapshot_place
from tests.operating.reconciling.letters import dead
from tests.operating.reconciling.placed import event_ids, hold, run
from tests.operating.replaying.conftest import databases, state
from tests.operating.replaying.provider import Provider
from tests.sender.databases import Databases

__all__ = ["databases", "state"]

LOOK = 0.02
"""Seconds between two looks of the endpoint for what is on its way."""
Answers = Callable[[str], int]
"""By event id: the status that the endpoint answers."""


@contextlib.asynccontextmanager
async def answering(provider: Provider, place: Place, answers: Answers) -> AsyncIterator[None]:
    """An endpoint that is sent what is pending. 2xx: the inbox holds it; else it is dead at once."""

    async def answer() -> None:
        while True:
            rows = await provider.databases.rows("SELECT id, event_id FROM deliveries WHERE status = 'pending'")
            for delivery_id, event_id in rows:
                status = answers(event_id)
                if status == 200:
                    await hold(place.inbox, event_id)
                ended = "succeeded" if status == 200 else "dead"
                await provider.run(
                    f"UPDATE deliveries SET status = '{ended}', response_status = {status} WHERE id = '{delivery_id}'"
                )
            await asyncio.sleep(LOOK)

    task = asyncio.create_task(answer())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def passed(provider: Provider, place: Place) -> Pass:
    provider.world.clock.advance(60)
    clock = provider.world.clock
    return await reconcile(Ground(place, Options(), Resumed(place, clock), clock))


def test_each_is_replayed_once_and_nothing_is_kept_of_it(databases: Databases, tmp_path: Path) -> None:
    async def test(provider: Provider, place: Place) -> None:
        letters = await provider.dead(30)
        async with answering(provider, place, lambda _: 200):
            came = await passed(provider, place)
        assert came.is_clean
        assert (came.done.replayed, came.done.gone, came.done.refused) == (30, 0, 0)
        assert sorted(await provider.replayed()) == letters
        assert Snapshot.find(snapshot_place(place.subscription_id, PURPOSE)) is None

    run(databases, tmp_path, test)


def test_an_endpoint_that_refuses_everything_costs_an_event_one_round(databases: Databases, tmp_path: Path) -> None:
    async def test(provider: Provider, place: Place) -> None:
        await provider.dead(1)
        [event_id] = await event_ids(provider)
        subject = dead(event_id=event_id).subject
        async with answering(provider, place, lambda _: 404):
            for _ in range(5):
                assert (await passed(provider, place)).stopped is Stopped.NOT_TAKEN
        assert place.memory.rounds({subject}) == {subject: 1}
        assert place.memory.tries({subject}) == {subject: 5}
        async with answering(provider, place, lambda _: 200):
            assert (await passed(provider, place)).is_clean

    run(databases, tmp_path, test)


def test_an_event_that_is_refused_for_what_it_is_is_given_up(databases: Databases, tmp_path: Path) -> None:
    async def test(provider: Provider, place: Place) -> None:
        await provider.dead(3)
        bad = (await event_ids(provider))[0]
        async with answering(provider, place, lambda event_id: 413 if event_id == bad else 200):
            came = [await passed(provider, place) for _ in range(5)]
        assert [one.done.replayed for one in came] == [3, 1, 1, 0, 0]
        assert came[-1].plan.counts[Verdict.GIVEN_UP] == 1

    run(databases, tmp_path, test)


def test_an_event_that_alone_is_not_taken_is_at_fault_whatever_was_answered(
    databases: Databases, tmp_path: Path
) -> None:
    """It is tried first, and then another one is taken."""

    async def test(provider: Provider, place: Place) -> None:
        await provider.dead(3)
        bad = (await event_ids(provider))[0]
        async with answering(provider, place, lambda event_id: 404 if event_id == bad else 200):
            assert (await passed(provider, place)).done.replayed == 3
        subject = dead(event_id=bad).subject
        assert (place.memory.rounds({subject}), place.memory.tries({subject})) == ({subject: 1}, {})

    run(databases, tmp_path, test)


@pytest.mark.parametrize("knows_ours", [True, False])
def test_what_was_interrupted_long_ago_is_judged_anew(databases: Databases, tmp_path: Path, knows_ours: bool) -> None:
    """Here the inbox holds some of it by now: a replay of what the receiver has forgotten since is handled twice."""

    async def test(provider: Provider, place: Place) -> None:
        letters = await provider.dead(5)
        begun = provider.world.clock()
        plan = await Ground(place, Options(), Resumed(place, provider.world.clock), provider.world.clock).look()
        Snapshot.create(
            snapshot_place(place.subscription_id, PURPOSE),
            letters,
            subscription_id=place.subscription_id,
            unreplayed=knows_ours,
            about={"at": begun},
        ).close()
        place.memory.note(plan.wanted, int(begun * 1000))
        assert place.memory.replayed(letters) == set(letters)
        await hold(place.inbox, *(await event_ids(provider))[:3])
        provider.world.clock.advance(STALE)
        async with answering(provider, place, lambda _: 200):
            came = await passed(provider, place)
        assert (came.is_clean, came.finished.done) == (True, 0)
        assert sorted(await provider.replayed()) == letters[3:]
        assert place.memory.replayed(letters) == set(letters[3:])

    run(databases, tmp_path, test, knows_ours=knows_ours)


def test_a_letter_that_the_provider_finds_senseless_to_replay_ends_nothing(
    databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(provider: Provider, place: Place) -> None:
        letters = await provider.dead(3)
        deliveries = place.client.webhook_deliveries
        real = deliveries.replay

        async def replay(delivery_id: str, **given: Any) -> Any:
            if delivery_id == letters[0]:
                raise InvalidRequest(ApiError("invalid_field_value", "no"))
            return await real(delivery_id, **given)

        monkeypatch.setattr(deliveries, "replay", replay, raising=False)
        async with answering(provider, place, lambda _: 200):
            came = await passed(provider, place)
        assert (came.done.replayed, came.done.refused, came.left) == (2, 1, 1)
        assert sorted(await provider.replayed()) == letters[1:]

    run(databases, tmp_path, test)
