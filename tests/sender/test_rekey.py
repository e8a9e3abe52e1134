"""A wrong master key is known at the start; a change of it reaches everything that is sealed, a few rows at a time."""

from __future__ import annotations

import asyncio

import pytest

from kirimhook.sender.sealing import MasterKeyError, Sealer
from kirimhook.sender.service import AlreadyAnswered, Once, Rekeyed, Sender
from tests.sender.databases import Databases
from tests.sender.stage import KEY, Stage, staged

NEW = Sealer.new_key()
URL, CREATED = "https://example.com/", "contact.created"
SEALED = "SELECT sealed FROM secrets UNION ALL SELECT sealed FROM idempotency UNION ALL SELECT sealed FROM seals"


def sender(stage: Stage, *keys: str) -> Sender:
    return Sender(stage.database, stage.settings, Sealer(keys), clock=stage.clock)


def once(number: int) -> Once:
    return Once(f"key {number}", b"", 201, lambda given: repr(given.initial_secret.reveal()).encode())


async def fill(stage: Stage) -> list[bytes]:
    """Seven subscriptions of two organisations, made under idempotency keys: their answers."""
    answers = []
    for organisation, count in ((stage.organisation, 4), (await stage.another("other"), 3)):
        for number in range(count):
            made = await stage.sender.tenant(organisation, once(number)).create_subscription(URL, [CREATED])
            answers.append(once(number).render(made))
    return answers


def test_a_wrong_master_key_is_known(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            await asyncio.gather(*[stage.sender.check_master_key() for _ in range(3)])
            await sender(stage, NEW, KEY).check_master_key()
            with pytest.raises(MasterKeyError) as caught:
                await sender(stage, NEW).check_master_key()
            assert NEW not in str(caught.value)
            await stage.sender.check_master_key()

    asyncio.run(main())


def test_of_two_that_start_with_different_keys_one_goes_on(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            starting = [sender(stage, key).check_master_key() for key in (KEY, NEW)]
            results = await asyncio.gather(*starting, return_exceptions=True)
            assert sorted(type(result).__name__ for result in results) == ["MasterKeyError", "NoneType"]

    asyncio.run(main())


def test_all_that_is_sealed_is_sealed_anew(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases, keep_batch=2) as stage:
            answers = await fill(stage)
            assert await sender(stage, NEW, KEY).rekey() == Rekeyed(secrets=7, answers=7)
            assert await sender(stage, NEW, KEY).rekey() == Rekeyed(secrets=0, answers=0)
            rows = [bytes(row[0]) for row in await stage.rows(SEALED)]
            assert len(rows) == 15
            opened = [Sealer([NEW]).open(row) for row in rows]
            assert {repr(plain.decode()).encode() for plain in opened[:7]} == set(answers)
            await sender(stage, NEW).check_master_key()
            with pytest.raises(MasterKeyError):
                await stage.sender.check_master_key()
            again = sender(stage, NEW).tenant(stage.organisation, once(0))
            with pytest.raises(AlreadyAnswered) as caught:
                await again.create_subscription(URL, [CREATED])
            assert caught.value.body == answers[0]

    asyncio.run(main())


def test_a_rekey_that_cannot_open_what_is_there_changes_nothing(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            await fill(stage)
            await stage.sender.check_master_key()
            before = await stage.rows(SEALED)
            with pytest.raises(MasterKeyError):
                await sender(stage, NEW).rekey()
            assert await stage.rows(SEALED) == before

    asyncio.run(main())
