"""What a snapshot holds is replayed exactly once, oldest first: however many there are of one moment, whatever dies
again meanwhile, wherever it is interrupted, and also over an API that knows only what is publicly documented.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from kirimhook.client import AsyncKirim, NotFound, RateLimited, Unreachable
from kirimhook.contract.errors import ApiError
from kirimhook.operating.replaying import Course, Selection, Snapshot, Tally, collect, place, replay, running
from tests.operating.replaying.provider import Provider, providing
from tests.sender.databases import Databases

DAY = 86_400.0


async def snapshot_of(provider: Provider, **chosen: Any) -> Snapshot:
    found = await collect(provider.client, Selection(provider.subscription, **chosen))
    again = chosen.get("again", False)
    return Snapshot.create(
        place(provider.subscription), found, subscription_id=provider.subscription, unreplayed=not again
    )


def reopened(provider: Provider) -> Snapshot:
    found = Snapshot.find(place(provider.subscription))
    assert found is not None
    return found


async def interrupted(provider: Provider, snapshot: Snapshot, at: int, *, before: bool) -> None:
    """A run that is cancelled while its request number `at` is under way, as Ctrl-C does."""
    front = provider.front
    front.posts.clear()
    front.stopped.clear()
    front.stop_at, front.before = at, before
    task = asyncio.create_task(replay(provider.client, snapshot))
    async with asyncio.timeout(30):
        await front.stopped.wait()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    snapshot.close()
    front.stop_at = 0


@pytest.mark.parametrize("knows_ours", [True, False])
def test_each_is_replayed_once_the_oldest_first(databases: Databases, knows_ours: bool) -> None:
    async def main() -> None:
        async with providing(databases) as provider:
            provider.front.knows_ours = knows_ours
            dead = await provider.dead(230)
            told: list[Course] = []
            with await snapshot_of(provider) as snapshot:
                assert list(snapshot.ids) == dead
                tally = await replay(provider.client, snapshot, tell=told.append)
            assert tally == Tally(replayed=230)
            assert told[-1] == Course(230, tally)
            assert await provider.replayed() == dead
            assert len(provider.front.posts) == (1 if knows_ours else 230)
            assert await collect(provider.client, Selection(provider.subscription)) == []

    asyncio.run(main())


def test_thousands_of_one_moment_whose_replays_die_again_are_neither_skipped_nor_repeated(databases: Databases) -> None:
    async def main() -> None:
        async with providing(databases) as provider:
            dead = await provider.dead(2300, step=0)
            moments = await databases.rows("SELECT DISTINCT created_at FROM deliveries")
            assert len(moments) == 1
            counts: list[int] = []
            selection = Selection(provider.subscription)
            assert await collect(provider.client, selection, counts.append) == dead
            assert (counts[0], counts[-1]) == (100, 2300)
            with await snapshot_of(provider) as snapshot:
                deaths = []

                async def die(_seconds: float) -> None:
                    await provider.die()
                    deaths.append(snapshot.done)

                assert await replay(provider.client, snapshot, rate=900, sleep=die) == Tally(replayed=2300)
            assert deaths == [900, 1800]
            assert await provider.replayed() == dead
            await provider.die()
            again = await collect(provider.client, selection)  # now the replays, one for each
            assert len(again) == 2300
            assert not set(again) & set(dead)

    asyncio.run(main())


@pytest.mark.parametrize("knows_ours", [True, False])
@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("again", [True, False])
def test_an_interruption_at_any_request_repeats_none_and_skips_none(
    databases: Databases, monkeypatch: pytest.MonkeyPatch, knows_ours: bool, before: bool, again: bool
) -> None:
    monkeypatch.setattr(running, "CHUNK", 2)

    async def main() -> None:
        async with providing(databases) as provider:
            provider.front.knows_ours = knows_ours
            dead = await provider.dead(8)
            snapshot = await snapshot_of(provider, again=again)
            requests = 4 if knows_ours else 8
            for _ in range(requests):  # each run is interrupted in its second request, which the next one repeats
                await interrupted(provider, snapshot, min(2, requests), before=before)
                snapshot = reopened(provider)
                if snapshot.left <= (2 if knows_ours else 1):
                    break
            with snapshot:
                assert await replay(provider.client, snapshot) == Tally(replayed=8)
                snapshot.remove()
            assert await provider.replayed() == dead
            assert Snapshot.find(place(provider.subscription)) is None

    asyncio.run(main())


@pytest.mark.parametrize("knows_ours", [True, False])
def test_what_somebody_replayed_or_purged_meanwhile_is_left_out(databases: Databases, knows_ours: bool) -> None:
    async def main() -> None:
        async with providing(databases) as provider:
            provider.front.knows_ours = knows_ours
            dead = await provider.dead(5)
            (await snapshot_of(provider)).close()
            await provider.client.webhook_deliveries.replay(dead[1])
            await provider.run(f"DELETE FROM deliveries WHERE id = '{dead[3]}'")
            with reopened(provider) as snapshot:
                assert await replay(provider.client, snapshot) == Tally(replayed=3, gone=2)
            assert sorted(await provider.replayed()) == [dead[0], dead[1], dead[2], dead[4]]

    asyncio.run(main())


@pytest.mark.parametrize(
    ("again", "expected", "left"),
    [(False, Tally(replayed=1, gone=2), 0), (True, Tally(replayed=1, unsure=2), 0)],
)
def test_past_the_life_of_an_idempotency_key_nothing_is_replayed_twice(
    databases: Databases, monkeypatch: pytest.MonkeyPatch, again: bool, expected: Tally, left: int
) -> None:
    """The request in doubt was carried out: by what it left out, or by not asking again."""
    monkeypatch.setattr(running, "CHUNK", 2)

    async def main() -> None:
        async with providing(databases) as provider:
            dead = await provider.dead(3)
            await interrupted(provider, await snapshot_of(provider, again=again), 1, before=False)
            await provider.run("DELETE FROM idempotency")  # as the API forgets
            with reopened(provider) as snapshot:
                assert snapshot.next is not None
                later = snapshot.next.at + DAY
                assert await replay(provider.client, snapshot, clock=lambda: later) == expected
                assert snapshot.left == left
            assert await provider.replayed() == dead

    asyncio.run(main())


def test_a_delivery_and_its_replay_that_died_are_one_event(databases: Databases) -> None:
    async def main() -> None:
        async with providing(databases) as provider:
            original, other = await provider.dead(2)
            made = await provider.client.webhook_deliveries.replay(original)
            await provider.die()
            again = Selection(provider.subscription, again=True)
            assert set(await collect(provider.client, again)) == {other, made.id}
            assert set(await collect(provider.client, Selection(provider.subscription))) == {other, made.id}

    asyncio.run(main())


@pytest.mark.parametrize("knows_ours", [True, False])
def test_what_was_erased_is_neither_counted_nor_asked_for(databases: Databases, knows_ours: bool) -> None:
    async def main() -> None:
        async with providing(databases) as provider:
            provider.front.knows_ours = knows_ours
            one, other = await provider.dead(2)
            (await snapshot_of(provider)).close()
            statement = f"event = (SELECT event FROM deliveries WHERE id = '{one}')"
            await provider.run(f"UPDATE deliveries SET event_id = '' WHERE {statement}")
            await provider.run(f"UPDATE events SET erased_at = 1 WHERE {statement.replace('event =', 'id =', 1)}")
            assert await collect(provider.client, Selection(provider.subscription)) == [other]
            with reopened(provider) as snapshot:  # listed before it was erased
                came = await replay(provider.client, snapshot)
            assert came == (Tally(replayed=1, gone=1) if knows_ours else Tally(replayed=1, refused=1))
            assert await provider.replayed() == [other]

    asyncio.run(main())


@pytest.mark.parametrize("knows_ours", [True, False])
def test_an_api_that_ignores_filters_does_not_make_us_replay_the_rest(databases: Databases, knows_ours: bool) -> None:
    async def main() -> None:
        async with providing(databases) as provider:
            provider.front.knows_ours = knows_ours
            dead = await provider.dead(3)
            listed = [one async for one in provider.client.webhook_deliveries.list()]
            wanted = Selection(provider.subscription, event_id=listed[1].event_id)
            assert [one.id for one in listed if wanted.holds(one)] == [listed[1].id]
            assert await collect(provider.client, wanted) == [listed[1].id]
            window = Selection(provider.subscription, created_after=listed[0].created_at)
            assert not any(window.holds(one) for one in listed)
            others = [Selection("wbs_other"), Selection(provider.subscription, status="failed")]
            assert not any(one.holds(delivery) for one in others for delivery in listed)
            assert len(dead) == 3

    asyncio.run(main())


def test_a_rate_is_kept(databases: Databases) -> None:
    """In played time: never more than so many a second, at the end of any request."""

    async def main() -> None:
        async with providing(databases) as provider:
            await provider.dead(60)
            now = [1000.0]
            seen: list[tuple[float, int]] = []

            async def sleep(seconds: float) -> None:
                now[0] += seconds

            with await snapshot_of(provider) as snapshot:
                tell = lambda course: seen.append((now[0] - 1000.0, course.tally.done))  # noqa: E731  # two words
                await replay(provider.client, snapshot, rate=7, tell=tell, clock=lambda: now[0], sleep=sleep)
            assert seen[-1] == (8.0, 60)
            assert all(done <= 7 * (seconds + 1) for seconds, done in seen)

    asyncio.run(main())


def test_a_rate_without_end_is_no_rate(databases: Databases) -> None:
    async def main() -> None:
        async with providing(databases) as provider:
            dead = await provider.dead(3)
            with await snapshot_of(provider) as snapshot:
                assert await replay(provider.client, snapshot, rate=float("inf")) == Tally(replayed=3)
            assert await provider.replayed() == dead

    asyncio.run(main())


def test_it_waits_as_long_as_the_api_asks(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with providing(databases) as provider:
            dead = await provider.dead(2)
            refusals = [RateLimited(ApiError("rate_limit_exceeded", "too many"), asked) for asked in (90.0, None)]
            real = type(provider.client.webhook_deliveries).bulk_replay
            asked = []

            class Limited:
                """The client's own, behind a limit that it was told not to wait for."""

                async def __call__(self, **given: Any) -> Any:
                    asked.append(given["idempotency_key"])
                    if refusals:
                        raise refusals.pop(0)
                    return await real.__get__(provider.client.webhook_deliveries)(**given)

            monkeypatch.setattr(provider.client.webhook_deliveries, "bulk_replay", Limited(), raising=False)
            slept: list[float] = []

            async def sleep(seconds: float) -> None:
                slept.append(seconds)

            with await snapshot_of(provider) as snapshot:
                assert await replay(provider.client, snapshot, sleep=sleep) == Tally(replayed=2)
            assert slept == [90.0, 60.0]
            assert len(asked) == 3
            assert len(set(asked)) == 1
            assert await provider.replayed() == dead

    asyncio.run(main())


@pytest.mark.parametrize("knows_ours", [True, False])
def test_with_the_key_of_another_organisation_nothing_counts_as_gone(databases: Databases, knows_ours: bool) -> None:
    async def main() -> None:
        async with providing(databases) as provider:
            other = await provider.world.sender.create_organisation_key("other")
            provider.front.knows_ours = knows_ours
            dead = await provider.dead(2)
            (await snapshot_of(provider)).close()
            async with AsyncKirim(other.key.reveal(), base_url=provider.url, retries=0) as stranger:
                with reopened(provider) as snapshot, pytest.raises(NotFound):
                    await replay(stranger, snapshot)
                assert snapshot.left == 2
            with reopened(provider) as snapshot:
                assert await replay(provider.client, snapshot) == Tally(replayed=2)
            assert await provider.replayed() == dead

    asyncio.run(main())


@pytest.mark.parametrize("knows_ours", [True, False])
def test_a_deleted_subscription_ends_it_and_what_is_left_stays(databases: Databases, knows_ours: bool) -> None:
    async def main() -> None:
        async with providing(databases) as provider:
            provider.front.knows_ours = knows_ours
            await provider.dead(2)
            with await snapshot_of(provider) as snapshot:
                await provider.client.webhook_subscriptions.delete(provider.subscription)
                with pytest.raises(ApiError) as refused:
                    await replay(provider.client, snapshot)
                assert refused.value.code == "subscription_deleted"
                assert snapshot.left == 2
            assert reopened(provider).left == 2

    asyncio.run(main())


def test_an_api_that_is_away_is_no_api_that_knows_less(databases: Databases) -> None:
    async def main() -> None:
        async with providing(databases) as provider:
            await provider.dead(1)
            (await snapshot_of(provider)).close()
            async with AsyncKirim("kdv_live_x", base_url="http://127.0.0.1:1", retries=0) as nobody:
                with reopened(provider) as snapshot, pytest.raises(Unreachable):
                    await replay(nobody, snapshot)
                assert snapshot.left == 1

    asyncio.run(main())
