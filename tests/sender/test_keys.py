"""API keys: shown once, kept as a digest; expired, revoked and unknown ones open nothing. Contract section 5."""

from __future__ import annotations

import asyncio
import re
from datetime import datetime
from hashlib import sha256

import pytest

from kirimhook.contract.errors import ApiError
from kirimhook.sender.service import Caller, Sender
from kirimhook.sender.service import keys as keys_module
from tests.sender.databases import Databases
from tests.sender.stage import Stage, at, staged


async def refused(sender: Sender, key: str) -> str:
    with pytest.raises(ApiError) as caught:
        await sender.authenticate(key)
    assert caught.value.status == 401
    assert key not in str(caught.value) or not key
    return caught.value.code


def another(stage: Stage) -> Sender:
    """Of another process: it remembers nothing."""
    return Sender(stage.database, stage.settings, stage.sender.context.sealer, clock=stage.clock)


def test_a_key_opens_its_organisation(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            first = await stage.sender.create_organisation_key("Acme GmbH")
            second = await stage.sender.create_organisation_key("Acme GmbH")
            third = await stage.sender.create_organisation_key("Another")
            assert first.organisation_id == second.organisation_id != third.organisation_id
            plain = first.key.reveal()
            assert re.fullmatch(r"kdv_live_[A-Za-z0-9_-]{24}", plain)
            assert len({key.key.reveal() for key in (first, second, third)}) == 3
            assert await another(stage).authenticate(plain) == Caller(first.organisation_id, "Acme GmbH", first.id)
            assert (await stage.sender.authenticate(third.key.reveal())).name == "Another"

    asyncio.run(main())


def test_what_is_kept_is_no_key(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            made = await stage.sender.create_organisation_key("kept")
            plain = made.key.reveal()
            query = "SELECT digest, first, last FROM api_keys WHERE id = :id"
            ((digest, first, last),) = await stage.rows(query, id=made.id)
            assert bytes(digest) == sha256(plain.encode()).digest()
            assert (first, last) == (plain[:12], plain[-4:])
            (listed,) = await stage.sender.list_keys("kept")
            shown = f"{made!r} {listed!r} {listed.to_json()}"
            assert plain not in shown
            assert plain[9:] not in shown

    asyncio.run(main())


def test_what_is_no_key_is_refused(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            plain = (await stage.sender.create_organisation_key("acme")).key.reveal()
            for wrong in (
                "",
                "kdv_live_",
                plain[:-1],
                plain + "x",
                plain.upper(),
                "kdv_live_" + "é" * 24,
                "x" * 10_000,
            ):
                assert await refused(stage.sender, wrong) == "invalid_api_key"
            assert await refused(stage.sender, "kdv_live_" + "\0" * 24) == "invalid_api_key"

    asyncio.run(main())


def test_a_key_expires(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            made = await stage.sender.create_organisation_key("acme", at(60))
            plain = made.key.reveal()
            stage.clock.advance(59.999)
            assert (await stage.sender.authenticate(plain)).key_id == made.id
            stage.clock.advance(0.001)
            assert await refused(stage.sender, plain) == "expired_api_key"  # though it was seen just now
            assert await refused(another(stage), plain) == "expired_api_key"
            for wrong in (at(0), at(60), datetime(2030, 1, 1)):  # noqa: DTZ001  # that is what is refused
                with pytest.raises(ApiError) as caught:
                    await stage.sender.create_organisation_key("acme", wrong)
                assert (caught.value.code, caught.value.param) == ("invalid_field_value", "expires_at")

    asyncio.run(main())


def test_a_revoked_key_is_refused_at_once_here_and_soon_elsewhere(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            made = await stage.sender.create_organisation_key("acme")
            plain, elsewhere = made.key.reveal(), another(stage)
            await stage.sender.authenticate(plain)
            await elsewhere.authenticate(plain)
            revoked = await stage.sender.revoke_key("acme", made.id)
            assert revoked.revoked_at == at(0)
            assert await refused(stage.sender, plain) == "revoked_api_key"
            stage.clock.advance(2)
            assert await refused(elsewhere, plain) == "revoked_api_key"
            again = await stage.sender.revoke_key("acme", made.id)
            assert again.revoked_at == at(0), "it was revoked then"

    asyncio.run(main())


def test_what_is_remembered_is_bounded(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys_module, "MAX_REMEMBERED", 3)

    async def main() -> None:
        async with staged(databases) as stage:
            for number in range(5):
                made = await stage.sender.create_organisation_key(f"acme {number}")
                await stage.sender.authenticate(made.key.reveal())
            assert len(stage.sender._keys._seen) == 3

    asyncio.run(main())


def test_keys_are_listed_newest_first(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            made = []
            for number in range(3):
                stage.clock.advance(1)
                made.append((await stage.sender.create_organisation_key("listed", at(number + 100))).id)
            found = await stage.sender.list_keys("listed")
            assert [key.id for key in found] == made[::-1]
            assert [key.expires_at for key in found] == [at(102), at(101), at(100)]

    asyncio.run(main())


def test_who_asks_is_told_who_that_is(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            made = await stage.sender.create_organisation_key("mine", at(60))
            other = await stage.sender.create_organisation_key("other")
            me = await stage.sender.tenant(made.organisation_id).me(made.id)
            assert (me.id, me.name, me.key.id, me.key.expires_at) == (made.organisation_id, "mine", made.id, at(60))
            with pytest.raises(ApiError) as caught:
                await stage.sender.tenant(made.organisation_id).me(other.id)
            assert caught.value.code == "resource_not_found"

    asyncio.run(main())


def test_names_and_keys_that_are_not_there(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            made = await stage.sender.create_organisation_key("acme")
            await stage.sender.create_organisation_key("other")
            for name in ("", " ", "a\0b", "a\nb", "x" * 201, "\ud800", " acme"):
                with pytest.raises(ApiError) as caught:
                    await stage.sender.create_organisation_key(name)
                assert (caught.value.code, caught.value.param) == ("invalid_field_value", "name")
            calls = [stage.sender.list_keys("nobody"), stage.sender.list_keys("a\0b")]
            revocations = [("nobody", made.id), ("other", made.id), ("acme", "key_x"), ("acme", "a\0b")]
            calls_to_revoke = [stage.sender.revoke_key(name, key_id) for name, key_id in revocations]
            for result in await asyncio.gather(*calls, *calls_to_revoke, return_exceptions=True):
                assert isinstance(result, ApiError)
                assert result.code == "resource_not_found"
            assert await stage.sender.authenticate(made.key.reveal())

    asyncio.run(main())


def test_an_organisation_is_made_once(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            made = await asyncio.gather(*[stage.sender.create_organisation_key("at once") for _ in range(8)])
            assert len({key.organisation_id for key in made}) == 1
            assert len(await stage.sender.list_keys("at once")) == 8

    asyncio.run(main())
