"""Over the API: every answer to who has a key says what is left of its bucket; reads, writes and publishes count apart;
what is refused for another reason counts too; 429 says when to come back, and then is let in.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.sender.api import URL, Answer, World, publish, world
from tests.sender.databases import Databases

LEFT = "x-ratelimit-remaining"
GOOD = {"url": URL, "events": ["contact.created"]}
EVENT = {"type": "contact.created", "data": {}}


@pytest.fixture
def lite(sqlite_url: str) -> Databases:
    """Buckets are the process's own: one database is enough."""
    return Databases(sqlite_url)


def run(lite: Databases, use: Any, **settings: Any) -> Any:
    async def main() -> Any:
        async with world(lite, **settings) as here:
            return await use(here)

    return asyncio.run(main())


def test_a_bucket_is_emptied_refuses_and_fills(lite: Databases) -> None:
    async def use(here: World) -> list[Answer]:
        answers = [await here.api.call("GET", "/me") for _ in range(4)]
        here.clock.advance(int(answers[-1].headers["retry-after"]))
        return [*answers, await here.api.call("GET", "/me")]

    answers = run(lite, use, reads_per_minute=3)
    assert [answer.status for answer in answers] == [200, 200, 200, 429, 200]
    assert [answer.headers[LEFT] for answer in answers] == ["2", "1", "0", "0", "0"]
    assert {answer.headers["x-ratelimit-limit"] for answer in answers} == {"3"}
    assert answers[3].headers["retry-after"] == "20"
    resets = [int(answer.headers["x-ratelimit-reset"]) for answer in answers]
    assert resets[0] <= resets[1] <= resets[2] <= resets[0] + 41


def test_reads_writes_and_publishes_count_apart(lite: Databases) -> None:
    async def use(here: World) -> list[int]:
        calls = [("GET", "/me", None), ("POST", "/webhook_subscriptions", GOOD), ("POST", "/events", EVENT)]
        return [(await here.api.call(*call)).status for _ in range(2) for call in calls]

    limits = {"reads_per_minute": 1, "writes_per_minute": 1, "events_per_minute": 1}
    assert run(lite, use, **limits) == [200, 201, 202, 429, 429, 429]


def test_publishing_is_not_limited_unless_one_says_so(lite: Databases) -> None:
    async def use(here: World) -> Answer:
        for _ in range(30):
            await publish(here.api)
        return await here.api.call("POST", "/events", EVENT)

    answer = run(lite, use, reads_per_minute=1, writes_per_minute=1)
    assert answer.status == 202
    assert LEFT not in answer.headers


def test_what_is_wrong_counts_and_says_what_is_left(lite: Databases) -> None:
    async def use(here: World) -> list[Answer]:
        return [
            await here.api.call("POST", "/webhook_subscriptions", body=b"{"),
            await here.api.call("POST", "/webhook_subscriptions", {**GOOD, "colour": 1}),
            await here.api.call("POST", "/webhook_subscriptions", body=b" " * 70_000),
            await here.api.call("DELETE", "/webhook_subscriptions/none"),
        ]

    answers = run(lite, use, writes_per_minute=10)
    assert [answer.headers[LEFT] for answer in answers] == ["9", "8", "7", "6"]


def test_an_organisation_counts_for_itself_over_all_its_keys(lite: Databases) -> None:
    async def use(here: World) -> list[str]:
        again, other = await here.another("acme"), await here.another("other")
        return [(await one.api.call("GET", "/me")).headers[LEFT] for one in (here, again, other)]

    assert run(lite, use, reads_per_minute=10) == ["9", "8", "9"]


def test_who_has_no_key_and_who_asks_for_health_is_not_counted(lite: Databases) -> None:
    async def use(here: World) -> list[Answer]:
        return [
            await here.api.call("GET", "/me", headers={"authorization": None}),
            await here.api.call("GET", "/health"),
            await here.api.call("GET", "/nowhere"),
            await here.api.call("GET", "/me"),
        ]

    answers = run(lite, use, reads_per_minute=10)
    assert [answer.headers.get(LEFT) for answer in answers] == [None, None, None, "9"]
