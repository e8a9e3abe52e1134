"""Nothing of another organisation is ever visible: every call that names a thing is made with another's ids, and is
told 404; every list of the other stays empty. A route that is new fails here until it is walked.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any

from fastapi.routing import APIRoute

from tests.sender.api import URL, Answer, World, deliveries, publish, subscribe, world
from tests.sender.databases import Databases

# Each call by method and path, with its body; `{…}` is an id of the organisation that owns it.
NAMING: dict[tuple[str, str], Any] = {
    ("GET", "/webhook_subscriptions/{subscription_id}"): None,
    ("PATCH", "/webhook_subscriptions/{subscription_id}"): {"description": "mine"},
    ("DELETE", "/webhook_subscriptions/{subscription_id}"): None,
    ("POST", "/webhook_subscriptions/{subscription_id}/secrets"): None,
    ("DELETE", "/webhook_subscriptions/{subscription_id}/secrets/{secret_id}"): None,
    ("POST", "/webhook_subscriptions/{subscription_id}/test"): None,
    ("GET", "/webhook_deliveries/{delivery_id}"): None,
    ("POST", "/webhook_deliveries/{delivery_id}/replay"): None,
    ("POST", "/webhook_deliveries/bulk_replay"): {"subscription_id": "{subscription_id}"},
}
LISTING = {("GET", "/webhook_subscriptions"), ("GET", "/webhook_deliveries")}
OF_ONESELF = {("POST", "/webhook_subscriptions"), ("POST", "/events"), ("GET", "/me")}
OF_NOBODY = {("GET", "/health"), ("GET", "/openapi.json")}


async def owned(here: World) -> dict[str, str]:
    """Something of everything."""
    made = await subscribe(here.api)
    await publish(here.api, 2)
    (delivery, _) = await deliveries(here.api)
    return {
        "{subscription_id}": made["id"],
        "{secret_id}": made["secrets"][0]["id"],
        "{delivery_id}": delivery["id"],
        "{event_id}": delivery["event_id"],
    }


def filled(template: Any, ids: dict[str, str]) -> Any:
    if isinstance(template, dict):
        return {name: filled(value, ids) for name, value in template.items()}
    if not isinstance(template, str):
        return template
    return re.sub(r"\{\w+\}", lambda found: ids[found.group()], template)


async def whole_state(databases: Databases) -> list[Any]:
    tables = ("subscriptions", "secrets", "deliveries", "queue", "events", "subscribed_types", "idempotency")
    return [sorted(await databases.rows(f"SELECT * FROM {table}"), key=repr) for table in tables]


def test_every_route_is_walked(databases: Databases) -> None:
    async def main() -> set[tuple[str, str]]:
        async with world(databases) as here:
            routes = [route for route in here.api.app.routes if isinstance(route, APIRoute)]
            assert len(routes) == len(here.api.app.routes)
            return {(method, route.path.removeprefix("/v1")) for route in routes for method in route.methods or ()}

    assert asyncio.run(main()) == set(NAMING) | LISTING | OF_ONESELF | OF_NOBODY


def test_what_is_anothers_is_not_found_and_stays_as_it_is(databases: Databases) -> None:
    async def main() -> None:
        async with world(databases) as here:
            ids = await owned(here)
            other = await here.another("other")
            mine = await owned(other)
            before = await whole_state(databases)
            for (method, path), value in NAMING.items():
                for headers in ({}, {"Idempotency-Key": "k"}):
                    answer = await other.api.call(method, filled(path, ids), filled(value, ids), headers=headers)
                    assert (answer.status, answer.code) == (404, "resource_not_found"), (method, path, answer)
                    assert not any(id_ in answer.body.decode() for id_ in ids.values())
            crossed = f"/webhook_subscriptions/{mine['{subscription_id}']}/secrets/{ids['{secret_id}']}"
            assert (await other.api.call("DELETE", crossed)).status == 404
            query = f"subscription_id={ids['{subscription_id}']}"
            assert (await other.api.call("GET", "/webhook_deliveries", query=query)).status == 404
            assert await whole_state(databases) == before

    asyncio.run(main())


def test_the_walk_would_find_what_is_ones_own(databases: Databases) -> None:
    """The same calls by the owner succeed: that they are not found is not for another reason."""

    async def main() -> None:
        async with world(databases) as here:
            for (method, path), value in NAMING.items():
                own = await here.another(f"owner of {method} {path}")
                ids = await owned(own)
                if method == "DELETE" and "secret" in path:
                    await own.api.call("POST", f"/webhook_subscriptions/{ids['{subscription_id}']}/secrets")
                answer = await own.api.call(method, filled(path, ids), filled(value, ids))
                assert answer.status < 300, (method, path, answer)

    asyncio.run(main())


def test_lists_hold_ones_own(databases: Databases) -> None:
    async def main() -> None:
        async with world(databases) as here:
            ids = await owned(here)
            other = await here.another("other")
            for method, path in LISTING:
                assert (await other.api.call(method, path)).data == []
            query = f"event_id={ids['{event_id}']}"
            assert (await other.api.call("GET", "/webhook_deliveries", query=query)).data == []
            mine = await owned(other)
            listed = await other.api.call("GET", "/webhook_subscriptions")
            assert [one["id"] for one in listed.data] == [mine["{subscription_id}"]]
            assert {one["subscription_id"] for one in await deliveries(other.api)} == {mine["{subscription_id}"]}

    asyncio.run(main())


def test_an_event_goes_to_the_subscriptions_of_its_organisation_and_an_id_is_no_duplicate_elsewhere(
    databases: Databases,
) -> None:
    event = {"type": "contact.created", "data": {}, "id": "evt-shared"}

    async def main() -> tuple[Answer, Answer, Answer]:
        async with world(databases) as here:
            other = await here.another("other")
            for _ in range(2):
                await subscribe(here.api)
            await subscribe(other.api)
            first = await here.api.call("POST", "/events", event)
            second = await other.api.call("POST", "/events", event)
            return first, second, await other.api.call("GET", "/me")

    first, second, me = asyncio.run(main())
    assert (first.data["deliveries"], second.data["deliveries"]) == (2, 1)
    assert not second.data["duplicate"]
    assert me.data["name"] == "other"
    assert URL.encode() not in me.body
