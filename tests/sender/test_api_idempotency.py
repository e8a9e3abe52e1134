"""A POST under an Idempotency-Key is done once: again, also at the same moment, it gets the first answer; with another
body it is 422. What failed may be tried again. The answer kept is sealed. A key is its organisation's alone, for 24 h.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from sqlalchemy import Connection, text

from kirimhook.sender.sealing import Sealer
from tests.sender.api import MASTER_KEY, URL, Answer, World, subscribe, world
from tests.sender.databases import Databases

KEY = {"Idempotency-Key": "order 4711/2"}
SUBSCRIPTIONS = "/webhook_subscriptions"
GOOD = {"url": URL, "events": ["contact.created"]}
REPLAYED = "idempotent-replayed"


def run(databases: Databases, use: Any, **settings: Any) -> Any:
    async def main() -> Any:
        async with world(databases, **settings) as here:
            return await use(here)

    return asyncio.run(main())


async def number_of(databases: Databases, table: str) -> int:
    return int((await databases.rows(f"SELECT count(*) FROM {table}"))[0][0])


async def every_post(here: World) -> dict[str, tuple[str, Any]]:
    """Every POST that can succeed: by name its path and body."""
    made = await subscribe(here.api)
    path = f"{SUBSCRIPTIONS}/{made['id']}"
    sample = (await here.api.call("POST", f"{path}/test")).data
    return {
        "subscription": (SUBSCRIPTIONS, GOOD),
        "secret": (f"{path}/secrets", None),
        "test": (f"{path}/test", {}),
        "replay": (f"/webhook_deliveries/{sample['id']}/replay", None),
        "bulk replay": ("/webhook_deliveries/bulk_replay", {"subscription_id": made["id"]}),
        "event": ("/events", {"type": "contact.created", "data": {"n": 1}}),
        "events": ("/events", {"events": [{"type": "contact.created", "data": {"n": 2}}] * 3}),
    }


def test_every_post_is_done_once_and_answered_alike(databases: Databases) -> None:
    async def use(here: World) -> None:
        for name, (path, value) in (await every_post(here)).items():
            headers = {"Idempotency-Key": name}
            first = await here.api.call("POST", path, value, headers=headers)
            kept = [await number_of(databases, table) for table in ("subscriptions", "secrets", "deliveries", "events")]
            again = await here.api.call("POST", path, value, headers=headers)
            assert first.status in (201, 202), (name, first)
            assert (again.status, again.body) == (first.status, first.body)
            assert REPLAYED not in first.headers
            assert again.headers[REPLAYED] == "true"
            assert again.headers["x-request-id"] != first.headers["x-request-id"]
            now = [await number_of(databases, table) for table in ("subscriptions", "secrets", "deliveries", "events")]
            assert now == kept, name

    run(databases, use)


def test_calls_at_the_same_moment_are_one(databases: Databases) -> None:
    async def use(here: World) -> tuple[list[Answer], int]:
        calls = [here.api.call("POST", SUBSCRIPTIONS, GOOD, headers=KEY) for _ in range(8)]
        return await asyncio.gather(*calls), await number_of(databases, "subscriptions")

    answers, made = run(databases, use)
    assert made == 1
    assert {answer.body for answer in answers} == {answers[0].body}
    assert sum(REPLAYED in answer.headers for answer in answers) == 7


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (SUBSCRIPTIONS, {**GOOD, "description": "another"}),
        (SUBSCRIPTIONS, {**GOOD, "events": ["contact.updated"]}),
        ("/events", {"type": "contact.created", "data": {}}),
    ],
)
def test_another_call_under_the_key_is_refused(path: str, value: Any, databases: Databases) -> None:
    async def use(here: World) -> Answer:
        assert (await here.api.call("POST", SUBSCRIPTIONS, GOOD, headers=KEY)).status == 201
        answer = await here.api.call("POST", path, value, headers=KEY)
        assert await number_of(databases, "subscriptions") == 1
        return answer

    answer = run(databases, use)
    assert (answer.status, answer.code) == (422, "idempotency_key_reuse")


def test_another_path_is_another_call(databases: Databases) -> None:
    async def use(here: World) -> list[int]:
        paths = [f"{SUBSCRIPTIONS}/{(await subscribe(here.api))['id']}/secrets" for _ in range(2)]
        return [(await here.api.call("POST", path, {}, headers=KEY)).status for path in paths]

    assert run(databases, use) == [201, 422]


def test_the_same_said_otherwise_is_the_same_call(databases: Databases) -> None:
    spelt = json.dumps(dict(reversed(GOOD.items())), indent=4).encode()

    async def use(here: World) -> tuple[Answer, Answer]:
        first = await here.api.call("POST", SUBSCRIPTIONS, GOOD, headers=KEY)
        return first, await here.api.call("POST", SUBSCRIPTIONS, body=spelt, headers=KEY)

    first, again = run(databases, use)
    assert again.body == first.body
    assert REPLAYED in again.headers


def test_a_body_of_metas_is_the_same_only_with_the_same_headers(databases: Databases) -> None:
    def headers(event_id: str) -> dict[str, str]:
        return {**KEY, "X-Kirim-Source": "meta", "X-Kirim-Event": "message.status", "X-Kirim-Event-Id": event_id}

    async def use(here: World) -> list[int]:
        calls = [("w1", b"{}"), ("w1", b"{}"), ("w1", b"{ }"), ("w2", b"{}")]
        return [(await here.api.call("POST", "/events", body=body, headers=headers(id_))).status for id_, body in calls]

    assert run(databases, use) == [202, 202, 422, 422]


def test_what_failed_may_be_tried_again_under_its_key(databases: Databases) -> None:
    async def use(here: World) -> list[int]:
        bad = {**GOOD, "url": "http://receiver.example.com"}
        answers = [await here.api.call("POST", SUBSCRIPTIONS, value, headers=KEY) for value in (bad, GOOD, GOOD, bad)]
        return [answer.status for answer in answers]

    assert run(databases, use)[:3] == [400, 201, 201]


def test_a_secret_in_a_kept_answer_is_sealed(databases: Databases) -> None:
    async def use(here: World) -> tuple[str, list[Any]]:
        made = (await here.api.call("POST", SUBSCRIPTIONS, GOOD, headers=KEY)).data
        rows = await databases.rows("SELECT sealed, fingerprint, status FROM idempotency")
        return made["initial_secret"], rows

    secret, ((sealed, fingerprint, status),) = run(databases, use)
    assert (status, len(bytes(fingerprint))) == (201, 32)
    assert secret.encode() not in bytes(sealed)
    assert secret.encode() in Sealer([MASTER_KEY]).open(bytes(sealed))


def test_a_key_is_forgotten_after_its_time(databases: Databases) -> None:
    async def use(here: World) -> list[bool]:
        replayed = []
        for wait in (0, 86_399, 2):
            here.clock.advance(wait)
            answer = await here.api.call("POST", SUBSCRIPTIONS, GOOD, headers=KEY)
            replayed.append(REPLAYED in answer.headers)
        return replayed

    assert run(databases, use) == [False, True, False]


def test_a_key_is_its_organisations_alone(databases: Databases) -> None:
    async def use(here: World) -> tuple[Answer, Answer]:
        other = await here.another("other")
        first = await here.api.call("POST", SUBSCRIPTIONS, GOOD, headers=KEY)
        return first, await other.api.call("POST", SUBSCRIPTIONS, GOOD, headers=KEY)

    first, second = run(databases, use)
    assert second.status == 201
    assert REPLAYED not in second.headers
    assert second.data["id"] != first.data["id"]


@pytest.mark.parametrize("key", ["", "a" * 256, "é", "a\x7f"])
def test_a_key_that_is_none_is_refused(key: str, databases: Databases) -> None:
    answer = run(databases, lambda here: here.api.call("POST", SUBSCRIPTIONS, GOOD, headers={"Idempotency-Key": key}))
    assert (answer.code, answer.error["param"]) == ("invalid_field_value", "Idempotency-Key")


def test_a_key_counts_on_posts_alone(databases: Databases) -> None:
    async def use(here: World) -> list[int]:
        path = f"{SUBSCRIPTIONS}/{(await subscribe(here.api))['id']}"
        changes = [{"description": "a"}, {"description": "b"}]
        answers = [await here.api.call("PATCH", path, change, headers=KEY) for change in changes]
        assert answers[1].data["description"] == "b"
        answers += [await here.api.call("DELETE", path, headers=KEY) for _ in range(2)]
        return [answer.status for answer in answers]

    assert run(databases, use) == [200, 200, 204, 404]


def test_a_call_that_is_still_under_way_is_waited_for_then_409(postgres_url: str) -> None:
    """Its key is held by a transaction that does not end; SQLite has one writer, which no call can hold up so."""
    databases = Databases(postgres_url)

    async def use(here: World) -> Answer:
        held = asyncio.Event()
        loop = asyncio.get_running_loop()
        name = f"kirimhook key {here.key.organisation_id} {KEY['Idempotency-Key']}"

        def hold(connection: Connection) -> None:
            connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": name})
            loop.call_soon_threadsafe(held.set)
            connection.execute(text("SELECT pg_sleep(60)"))

        async with databases.opened() as other:
            holding = asyncio.create_task(other.write(hold))
            await held.wait()
            answer = await here.api.call("POST", SUBSCRIPTIONS, GOOD, headers=KEY)
            holding.cancel()
            await asyncio.gather(holding, return_exceptions=True)
        assert (await here.api.call("POST", SUBSCRIPTIONS, GOOD, headers=KEY)).status == 201
        return answer

    answer = run(databases, use)
    assert (answer.status, answer.code, answer.error["type"]) == (409, "idempotency_in_progress", "conflict")
