"""`kirimhook rotate` killed at every write and every call: no delivery is refused, and the same command goes on.

A sender delivers without a pause, over TLS, to one URL that two receivers share, one of them of two processes. The
command is killed before and after each file that it replaces and each call that changes something; whoever calls again
goes on, or takes it back. No receiver ever answers 401, and no delivery is lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from kirimhook.contract.resources import Subscription
from tests.crash.processes import Processes
from tests.crash.waiting import SOON
from tests.operating.rotation.stand import QUICK, Stand, journal_of, shared, standing

KILLED = -9


CHANGES = [
    "writing 2 secrets, not begun",  # as they were: whether it can be written
    "writing add, not called",
    "writing add, called",
    "POST secret",
    "writing 3 secrets, begun",
    "writing load, called",
    "writing confirm, called",
    "writing settle, called",
    "writing retire, called",
    "DELETE secret",
    "writing drop, called",
    "writing 2 secrets, begun",
    "removing the journal",
]
"""What it changes, in its order. One secret of the file is of nobody here."""
UNDOING = ["writing take_back, called", "DELETE secret", "writing unwrite, called", "writing 2 secrets, begun"]
POINTS = [f"{when} {what}" for what in CHANGES for when in ("before", "after")]
BEGUN = [
    f"after {what}"
    for what in ("writing add, called", "POST secret", "writing 3 secrets, begun", "writing settle, called")
]
DONE = "after removing the journal"


async def until_it_ends(stand: Stand, subscription: Subscription, *more: str) -> list[str]:
    """Again and again, killed at each point once: the points. One that was done already would begin anew."""
    points: list[str] = []
    while DONE not in points:
        ran = await stand.rotate(subscription.id, *more, passed=points)
        assert ran.code == KILLED, ran
        points.append(ran.point)
    return points


async def killed_at(stand: Stand, subscription: Subscription, point: str) -> None:
    ran = await stand.rotate(subscription.id, passed=[one for one in POINTS if one != point])
    assert (ran.code, ran.point) == (KILLED, point), ran


async def more_is_published(published: Callable[[], int]) -> None:
    began = published()
    async with asyncio.timeout(SOON):
        while published() < began + 20:  # noqa: ASYNC110  # other tasks publish
            await asyncio.sleep(0.01)


def test_killed_at_every_point_it_goes_on_and_nothing_is_refused(
    processes: Processes, say: Callable[[str], None]
) -> None:
    async def play() -> None:
        async with standing(processes, 2, 1) as (stand, receivers), shared(*receivers) as url:
            subscription = await stand.subscribed(url)
            (before,) = [one for one in stand.file.entries() if one.subscription_id]
            async with stand.load() as published:
                points = await until_it_ends(stand, subscription)
                (now,) = [one for one in stand.file.entries() if one.subscription_id]
                assert now.secret != before.secret
                assert await stand.secret_ids(subscription.id) == [now.secret_id]
                await more_is_published(published)  # what is signed with the new one alone
            ended, requests = await stand.judged()
            say(f"rotation killed {len(points)} times: {dict(ended)}, receivers {dict(requests)}")
            assert ended.keys() == {"succeeded"}
            assert requests.keys() <= {"fresh", "duplicate"}
            assert requests["fresh"] == ended["succeeded"] >= published()
            assert not journal_of(stand.file.path).exists()
            assert points == POINTS

    asyncio.run(play())


def test_from_every_step_before_the_first_deletion_it_is_taken_back(
    processes: Processes, say: Callable[[str], None]
) -> None:
    """… after which it goes on only."""

    async def play() -> None:
        async with standing(processes, 2, hooks=QUICK) as (stand, receivers):
            subscription = await stand.subscribed(receivers[0].started()["url"])
            before, ids = stand.file.path.read_bytes(), await stand.secret_ids(subscription.id)
            async with stand.load() as published:
                for point in BEGUN:
                    await killed_at(stand, subscription, point)
                    taken = await stand.rotate(subscription.id, "--abort")
                    assert taken.code == 0, taken
                    assert taken.document["result"] == "rolled_back"
                    assert (stand.file.path.read_bytes(), await stand.secret_ids(subscription.id)) == (before, ids)
                await killed_at(stand, subscription, "before writing retire, called")
                points = await until_it_ends(stand, subscription, "--abort")
                assert (stand.file.path.read_bytes(), await stand.secret_ids(subscription.id)) == (before, ids)
                await killed_at(stand, subscription, "after writing retire, called")
                refused = await stand.rotate(subscription.id, "--abort")
                assert (refused.code, "it can only go on" in refused.err) == (1, True)
                assert (await stand.rotate(subscription.id)).document["resumed"] == "retire"
                await more_is_published(published)
            ended, requests = await stand.judged()
            say(f"taken back from {len(BEGUN) + 1} points, itself killed {len(points)} times: {dict(requests)}")
            assert ended.keys() == {"succeeded"}
            assert requests.keys() <= {"fresh", "duplicate"}
            assert points == [f"{when} {what}" for what in (*UNDOING, CHANGES[-1]) for when in ("before", "after")]

    asyncio.run(play())
