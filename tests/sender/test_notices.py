"""What waits to be told is merged again and again: nothing of it is lost, counted twice, or told under another name.
The table stays as small as there are groups.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kirimhook.sender.database import Database, open_database
from kirimhook.sender.store import notices
from kirimhook.sender.store.notices import Died
from kirimhook.telling import Kind, Notice
from tests.sender.databases import Databases, done

DIED = st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(["rejected", "gone", "expired"])), max_size=12)
STEP = st.one_of(st.tuples(st.just("add"), DIED), st.tuples(st.just("gather"), st.integers(1, 8)))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEP, max_size=25), end=st.integers(2, 10))
def test_merging_loses_nothing(sqlite_url: str, steps: list[tuple[str, Any]], end: int) -> None:
    async def main() -> tuple[Counter[tuple[str, str]], Counter[tuple[str, str]]]:
        database = open_database(sqlite_url)
        await database.open()
        try:
            return await play(database, steps, end)
        finally:
            await database.close()

    told, died = asyncio.run(main())
    assert told == died


async def play(
    database: Database, steps: list[tuple[str, Any]], end: int
) -> tuple[Counter[tuple[str, str]], Counter[tuple[str, str]]]:
    """What was told in the end, and what had died."""
    expected: Counter[tuple[str, str]] = Counter()
    await database.write(done("DELETE FROM notices"))
    for number, (step, what) in enumerate(steps):
        if step == "add":
            died = [Died(f"wbd_{number}_{n}", who, reason) for n, (who, reason) in enumerate(what)]
            for _ in range(2):  # of a transaction that is run again
                await database.write(partial(notices.add_dead, died=died, at=number))
            expected.update(what)
        else:
            await database.write(partial(notices.gather, most=what))
    while (gathered := await database.write(partial(notices.gather, most=1000))).more:
        pass
    assert counts(gathered.notices) == expected
    assert len(gathered.notices) == len(expected)
    told: Counter[tuple[str, str]] = Counter()
    while some := (await database.write(partial(notices.gather, most=end))).notices:
        told += counts(some)
        await database.write(partial(notices.told, ids=list(some), until=0, next_at=0))
    return told, expected


def counts(found: dict[str, Notice]) -> Counter[tuple[str, str]]:
    made: Counter[tuple[str, str]] = Counter()
    for notice in found.values():
        assert notice.kind is Kind.DEAD_LETTERS
        made[notice.subscription_id or "", notice.reason] += notice.count
    return made


def test_the_turn_is_one_processs(databases: Databases) -> None:
    """Several ask for it at one moment, over connections of their own: one of them has it, until it passes."""

    async def main() -> None:
        async with databases.opened() as one, databases.opened() as other:
            for round_ in range(10):
                now = 1000 * round_
                take = partial(notices.take_turn, now=now, latest=now + 1000, until=now + 1000)
                asked = [each.write(take) for each in (one, other) * 3]
                taken = await asyncio.gather(*asked)
                assert sorted(taken, key=str) == [0, None, None, None, None, None]
            await one.write(partial(notices.told, ids=[], until=9_000, next_at=0))
            assert await other.write(partial(notices.take_turn, now=9_000, latest=19_000, until=20_000)) is None, (
                "it had passed"
            )
            await one.write(partial(notices.put_off, until=10_000, next_at=9_500, failures=7))
            assert await other.write(partial(notices.take_turn, now=9_500, latest=19_500, until=20_000)) == 7
            assert not await other.read(partial(notices.ready, now=10_000, latest=30_000)), "there is nothing to tell"

    asyncio.run(main())
