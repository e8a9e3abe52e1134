"""A list is read whole, page by page: each item once, the newest first, also where many were made in one millisecond
and while more are made; `has_more` is true exactly where a page follows; a cursor is good for its own list alone.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.sender.api import Answer, Api, World, publish, subscribe, world
from tests.sender.databases import Databases


def run(databases: Databases, use: Any) -> Any:
    async def main() -> Any:
        async with world(databases) as here:
            return await use(here)

    return asyncio.run(main())


async def pages(api: Api, path: str, limit: int, query: str = "") -> list[list[dict[str, Any]]]:
    """Every page of a list."""
    found: list[list[dict[str, Any]]] = []
    cursor: str | None = None
    while cursor is not None or not found:
        answer = await api.call(
            "GET", path, query=f"limit={limit}{query}" + (f"&cursor={cursor}" if cursor is not None else "")
        )
        assert answer.status == 200, answer
        assert answer.json["has_more"] == (answer.json["next_cursor"] is not None)
        found.append(answer.data)
        cursor = answer.json["next_cursor"]
    return found


@pytest.mark.parametrize("limit", [1, 3, 7, 8, 100])
def test_deliveries_of_one_moment_are_listed_once_each(limit: int, databases: Databases) -> None:
    async def use(here: World) -> list[list[dict[str, Any]]]:
        await subscribe(here.api)
        await publish(here.api, 4)  # the clock stands still: all are of one millisecond
        await publish(here.api, 4)
        return await pages(here.api, "/webhook_deliveries", limit)

    found = run(databases, use)
    ids = [one["id"] for page in found for one in page]
    assert len(ids) == 8
    assert ids == sorted(set(ids), reverse=True)
    assert len({one["created_at"] for page in found for one in page}) == 1
    assert all(len(page) <= limit for page in found)


def test_subscriptions_of_one_moment_are_listed_once_each(databases: Databases) -> None:
    async def use(here: World) -> tuple[set[str], list[list[dict[str, Any]]]]:
        made = {(await subscribe(here.api))["id"] for _ in range(5)}
        return made, await pages(here.api, "/webhook_subscriptions", 2)

    made, found = run(databases, use)
    assert [len(page) for page in found] == [2, 2, 1]
    ids = [one["id"] for page in found for one in page]
    assert (len(ids), set(ids)) == (5, made)
    assert all("initial_secret" not in one for page in found for one in page)


def test_what_is_made_meanwhile_does_not_move_the_pages(databases: Databases) -> None:
    async def use(here: World) -> tuple[list[str], list[str]]:
        await subscribe(here.api)
        await publish(here.api, 6)
        before = [one["id"] for page in await pages(here.api, "/webhook_deliveries", 100) for one in page]
        first = await here.api.call("GET", "/webhook_deliveries", query="limit=3")
        here.clock.advance(1)
        await publish(here.api, 5)
        cursor = first.json["next_cursor"]
        second = await here.api.call("GET", "/webhook_deliveries", query=f"limit=3&cursor={cursor}")
        return before, [one["id"] for one in (*first.data, *second.data)]

    before, read = run(databases, use)
    assert read == before


def test_the_pages_of_a_filter_hold_what_it_names(databases: Databases) -> None:
    async def use(here: World) -> None:
        one, two = (await subscribe(here.api))["id"], (await subscribe(here.api, "contact.created"))["id"]
        await publish(here.api, 3, "contact.created")
        await publish(here.api, 2, "contact.updated")
        for query, wanted in {
            f"&subscription_id={one}": 5,
            f"&subscription_id={two}": 3,
            "&event_type=contact.created": 6,
            f"&event_type=contact.updated&subscription_id={two}": 0,
            "&status=pending": 8,
            "&status=dead": 0,
            "&kind=original": 8,
            "&kind=replay": 0,
            "&unreplayed=true": 8,
        }.items():
            found = [found for page in await pages(here.api, "/webhook_deliveries", 2, query) for found in page]
            assert len(found) == wanted, query
            assert len({each["id"] for each in found}) == wanted
        sought = (await here.api.call("GET", "/webhook_deliveries")).data[0]
        same = await pages(here.api, "/webhook_deliveries", 1, f"&event_id={sought['event_id']}")
        assert {each["event_id"] for page in same for each in page} == {sought["event_id"]}

    run(databases, use)


def test_a_cursor_is_good_for_its_own_list_alone(databases: Databases) -> None:
    async def use(here: World) -> list[Answer]:
        for _ in range(3):
            await subscribe(here.api)
        await publish(here.api, 2)
        other = await here.another("other")
        cursor = (await here.api.call("GET", "/webhook_deliveries", query="limit=1")).json["next_cursor"]
        foreign = (await here.api.call("GET", "/webhook_subscriptions", query="limit=1")).json["next_cursor"]
        altered = cursor[:-1] + ("A" if cursor[-1] != "A" else "B")
        swapped = ("A" if cursor[0] != "A" else "B") + cursor[1:]
        return [
            await here.api.call("GET", "/webhook_deliveries", query=f"cursor={foreign}"),
            await here.api.call("GET", "/webhook_deliveries", query=f"cursor={cursor}&status=pending"),
            await here.api.call("GET", "/webhook_deliveries", query=f"cursor={altered}"),
            await here.api.call("GET", "/webhook_deliveries", query=f"cursor={swapped}"),
            await here.api.call("GET", "/webhook_deliveries", query=f"cursor={cursor[:-4]}"),
            await here.api.call("GET", "/webhook_subscriptions", query=f"cursor={cursor}"),
            await other.api.call("GET", "/webhook_deliveries", query=f"cursor={cursor}"),
        ]

    answers = run(databases, use)
    assert [(answer.status, answer.code) for answer in answers] == [(400, "invalid_cursor")] * 7
    assert {answer.error["param"] for answer in answers} == {"cursor"}
