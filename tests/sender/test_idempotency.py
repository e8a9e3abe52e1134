"""One Idempotency-Key, one effect: the answer and what it answers are one commit. Contract section 5."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from sqlalchemy import text

from kirimhook.contract.errors import ApiError
from kirimhook.contract.resources import Subscription
from kirimhook.sender.service import AlreadyAnswered, KirimEvent, Once, Sender
from kirimhook.sender.store import idempotency
from tests.sender.databases import Databases
from tests.sender.outbox import asyncpg_engine
from tests.sender.stage import DAY, Stage, staged

URL, CREATED = "https://example.com/", "contact.created"
SUBSCRIPTIONS = "SELECT count(*) FROM subscriptions"


def render(given: Any) -> bytes:
    shown = [one.to_json() for one in given] if isinstance(given, list) else given.to_json()
    return json.dumps({"data": shown}).encode()


def once(key: str = "k1", fingerprint: bytes = b"POST /x {}") -> Once:
    return Once(key, fingerprint, 201, render)


async def create(stage: Stage, once: Once, events: tuple[str, ...] = (CREATED,)) -> Subscription:
    return await stage.sender.tenant(stage.organisation, once).create_subscription(URL, events)


def test_the_second_call_gets_the_first_ones_answer(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            made = await create(stage, once())
            for _ in range(2):
                with pytest.raises(AlreadyAnswered) as caught:
                    await create(stage, once())
                assert (caught.value.status, caught.value.body) == (201, render(made))
            assert b"whsec_" in render(made), "the secret is shown again to who lost the answer"
            assert await stage.one(SUBSCRIPTIONS) == 1

    asyncio.run(main())


def test_another_call_under_the_key_is_refused(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            await create(stage, once())
            with pytest.raises(ApiError) as caught:
                await create(stage, once(fingerprint=b"POST /x {1}"))
            assert (caught.value.code, caught.value.status) == ("idempotency_key_reuse", 422)
            await create(stage, once("k2"))
            stage.organisation = await stage.another("other")
            await create(stage, once())
            assert await stage.one(SUBSCRIPTIONS) == 3

    asyncio.run(main())


def test_a_call_that_failed_can_be_made_again(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            gone = stage.sender.tenant(stage.organisation, once())
            with pytest.raises(ApiError):
                await gone.add_secret("wbs_" + "0" * 26)
            await create(stage, once())
            assert await stage.one("SELECT count(*) FROM idempotency") == 1

    asyncio.run(main())


def test_a_key_is_free_again_after_a_day(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            first = await create(stage, once())
            stage.clock.advance(DAY - 1)
            with pytest.raises(AlreadyAnswered):
                await create(stage, once())
            stage.clock.advance(1)
            second = await create(stage, once(fingerprint=b"another"))
            assert second.id != first.id
            with pytest.raises(AlreadyAnswered) as caught:
                await create(stage, once(fingerprint=b"another"))
            assert caught.value.body == render(second)

    asyncio.run(main())


def test_old_answers_are_forgotten_a_few_at_a_time(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            for number in range(5):
                await create(stage, once(f"k{number}"))
                stage.clock.advance(1)
            third = int((stage.clock() - 3) * 1000)

            async def purge() -> int:
                return await stage.database.write(lambda connection: idempotency.purge(connection, third, 2))

            assert [await purge(), await purge(), await purge()] == [2, 1, 0]
            assert await stage.rows("SELECT key FROM idempotency ORDER BY key") == [("k3",), ("k4",)]

    asyncio.run(main())


def test_of_many_at_once_one_is_done(databases: Databases) -> None:
    """Also through another process's connections; the others wait for it, and get its answer."""

    async def main() -> None:
        async with staged(databases) as stage, databases.opened() as database:
            other = Sender(database, stage.settings, stage.sender.context.sealer, clock=stage.clock)
            tenants = [sender.tenant(stage.organisation, once()) for sender in [stage.sender, other] * 4]
            calls = [tenant.publish([KirimEvent(CREATED, {"n": n})]) for n, tenant in enumerate(tenants)]
            results = await asyncio.gather(*calls, return_exceptions=True)
            done = [result for result in results if isinstance(result, list)]
            answers = {result.body for result in results if isinstance(result, AlreadyAnswered)}
            assert len(done) == 1
            assert answers == {render(done[0])}
            assert await stage.one("SELECT count(*) FROM events") == 1

    asyncio.run(main())


def test_one_that_waits_too_long_is_told_so(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first call's transaction hangs. It is gone with its connection, and the key is free."""
    monkeypatch.setattr(idempotency, "WAIT", 0.2)

    async def main() -> None:
        engine = asyncpg_engine(postgres_url)
        async with staged(Databases(postgres_url)) as stage:
            async with engine.connect() as hanging:
                claim = idempotency.claim
                await hanging.run_sync(lambda c: claim(c, stage.organisation, "k1", b"POST /x {}", 0))
                with pytest.raises(ApiError) as caught:
                    await create(stage, once())
                assert (caught.value.code, caught.value.status) == ("idempotency_in_progress", 409)
                await create(stage, once("k2"))
            await create(stage, once())
            assert await stage.one(SUBSCRIPTIONS) == 2
        await engine.dispose()

    asyncio.run(main())


def test_a_wait_for_the_key_does_not_shorten_later_ones(postgres_url: str) -> None:
    """`lock_timeout` is for the key alone: whoever waits for the organisation behind it waits as long as it takes."""

    async def main() -> None:
        engine = asyncpg_engine(postgres_url)
        async with engine.connect() as connection:
            before = await connection.scalar(text("SHOW lock_timeout"))
            await connection.run_sync(lambda c: idempotency.claim(c, "org_1", "k1", b"", 0))
            assert await connection.scalar(text("SHOW lock_timeout")) == before
        await engine.dispose()

    asyncio.run(main())


def test_the_answer_is_not_readable_where_it_is_kept(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            made = await create(stage, once())
            assert made.initial_secret is not None
            secret = made.initial_secret.reveal().encode()
            rows = await stage.rows("SELECT sealed FROM idempotency UNION ALL SELECT sealed FROM secrets")
            assert len(rows) == 2
            assert all(secret not in bytes(row[0]) and b"whsec" not in bytes(row[0]) for row in rows)

    asyncio.run(main())
