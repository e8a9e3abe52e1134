"""Signing secrets: shown once, sealed at rest, at most five in force and never none. Contract sections 1, 5, 7."""

from __future__ import annotations

import asyncio
import logging
import re
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kirimhook.contract.errors import ApiError
from kirimhook.contract.signature import Secret
from kirimhook.sender.model import in_force
from kirimhook.sender.service import AlreadyAnswered, Changes, Once
from tests.sender.databases import Databases
from tests.sender.stage import Stage, at, staged

URL, CREATED = "https://example.com/", "contact.created"
HOUR = 3600


class Known(NamedTuple):
    id: str
    expires_at: int | None


secrets = st.lists(st.one_of(st.none(), st.integers(0, 20)), max_size=6).map(
    lambda expiries: [Known(f"sec_{number}", expires_at) for number, expires_at in enumerate(expiries)]
)


@given(secrets, st.integers(0, 20))
def test_in_force_is_what_has_not_expired_and_never_nothing(known: list[Known], now: int) -> None:
    found = in_force(known, now)
    unexpired = {secret.id for secret in known if secret.expires_at is None or now < secret.expires_at}
    assert bool(found) == bool(known)
    assert [secret.id for secret in found] == sorted(secret.id for secret in found)
    if unexpired:
        assert {secret.id for secret in found} == unexpired
    elif known:
        (last,) = found
        assert all((secret.expires_at or 0) <= (last.expires_at or 0) for secret in known)


@given(secrets, st.integers(0, 19))
def test_time_alone_takes_no_last_secret_out_of_force(known: list[Known], now: int) -> None:
    """Whoever holds what was in force holds something of what is in force: no moment at which nothing verifies."""
    before, after = in_force(known, now), in_force(known, now + 1)
    assert not known or {secret.id for secret in before} & {secret.id for secret in after}


async def listed(stage: Stage, subscription: str) -> list[str]:
    return [secret.id for secret in (await stage.tenant.subscription(subscription)).secrets]


async def code(awaitable: object) -> str:
    with pytest.raises(ApiError) as caught:
        await awaitable  # type: ignore[misc]  # any call of the service
    return caught.value.code


async def sealed(stage: Stage, secret_id: str) -> bytes:
    return bytes(await stage.one("SELECT sealed FROM secrets WHERE id = :id", id=secret_id))


def test_a_secret_is_shown_once_and_sealed_at_rest(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            made = await stage.tenant.create_subscription(URL, [CREATED])
            stage.clock.advance(1)
            added = await stage.tenant.add_secret(made.id, 24)
            assert made.initial_secret is not None
            plains = [made.initial_secret.reveal(), added.secret.reveal()]
            for plain in plains:
                assert re.fullmatch(r"whsec_[A-Za-z0-9_-]{43}=", plain)
            assert (added.created_at, added.expires_at) == (at(1), at(24 * HOUR + 1))
            ids = await listed(stage, made.id)
            assert ids == [made.secrets[0].id, added.id]
            kept = [await sealed(stage, secret_id) for secret_id in ids]
            assert [stage.sender.context.sealer.open(one).decode() for one in kept] == plains
            assert not [plain for plain in plains for one in kept if plain.encode() in one]

    asyncio.run(main())


def test_at_most_five_are_in_force(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            subscription = await stage.subscribe(CREATED)
            first = await stage.tenant.add_secret(subscription, 1)
            for _ in range(3):
                await stage.tenant.add_secret(subscription)
            assert await code(stage.tenant.add_secret(subscription)) == "too_many_secrets"
            stage.clock.advance(HOUR)
            assert first.id not in await listed(stage, subscription)
            await stage.tenant.add_secret(subscription)
            assert await code(stage.tenant.add_secret(subscription)) == "too_many_secrets"
            assert await stage.one("SELECT count(*) FROM secrets") == 5, "what expired is not kept"

    asyncio.run(main())


def test_they_are_counted_one_at_a_time(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            subscription = await stage.subscribe(CREATED)
            calls = [stage.tenant.add_secret(subscription) for _ in range(8)]
            results = await asyncio.gather(*calls, return_exceptions=True)
            assert sum(isinstance(result, ApiError) for result in results) == 4
            ids = await listed(stage, subscription)
            assert len(ids) == 5
            removals = [stage.tenant.remove_secret(subscription, secret) for secret in ids]
            refused = [r for r in await asyncio.gather(*removals, return_exceptions=True) if isinstance(r, ApiError)]
            assert [error.code for error in refused] == ["last_active_secret"]
            assert len(await listed(stage, subscription)) == 1

    asyncio.run(main())


def test_a_rotation(databases: Databases) -> None:
    """Both sign, then the new one alone; each change tells the engines."""

    async def main() -> None:
        async with staged(databases) as stage:
            made = await stage.tenant.create_subscription(URL, [CREATED])
            old, versions = made.secrets[0].id, [await stage.one("SELECT version FROM subscriptions")]
            assert await code(stage.tenant.remove_secret(made.id, old)) == "last_active_secret"
            stage.clock.advance(1)
            new = await stage.tenant.add_secret(made.id)
            versions.append(await stage.one("SELECT version FROM subscriptions"))
            assert await listed(stage, made.id) == [old, new.id]
            await stage.tenant.remove_secret(made.id, old)
            versions.append(await stage.one("SELECT version FROM subscriptions"))
            assert await listed(stage, made.id) == [new.id]
            assert versions == sorted(set(versions))
            assert await code(stage.tenant.remove_secret(made.id, old)) == "resource_not_found"
            assert await code(stage.tenant.remove_secret(made.id, new.id)) == "last_active_secret"

    asyncio.run(main())


def test_one_whose_expiry_would_leave_none_stays(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            made = await stage.tenant.create_subscription(URL, [CREATED])
            brief = await stage.tenant.add_secret(made.id, 1)
            await stage.tenant.remove_secret(made.id, made.secrets[0].id)
            stage.clock.advance(2 * HOUR)
            assert await listed(stage, made.id) == [brief.id]
            assert await code(stage.tenant.remove_secret(made.id, brief.id)) == "last_active_secret"
            lasting = await stage.tenant.add_secret(made.id)
            assert await listed(stage, made.id) == [lasting.id]

    asyncio.run(main())


def test_an_expiry_that_cannot_be_is_refused(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            subscription = await stage.subscribe(CREATED)
            for hours in (0, -1, 1e9, float("nan"), float("inf")):
                with pytest.raises(ApiError) as caught:
                    await stage.tenant.add_secret(subscription, hours)
                assert (caught.value.code, caught.value.param) == ("invalid_field_value", "expires_in_hours")
            assert (await stage.tenant.add_secret(subscription, 0.5)).expires_at == at(HOUR / 2)

    asyncio.run(main())


def test_another_subscriptions_secret_is_not_found(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            mine, other = await stage.subscribe(CREATED), await stage.subscribe(CREATED)
            await stage.tenant.add_secret(mine)
            for secret in (*await listed(stage, other), "sec_x", "a\0b", ""):
                assert await code(stage.tenant.remove_secret(mine, secret)) == "resource_not_found"
            assert len(await listed(stage, other)) == 1

    asyncio.run(main())


def test_nothing_shows_a_secret(databases: Databases, caplog: pytest.LogCaptureFixture) -> None:
    """Neither log, nor error, nor the repr of anything that is passed about; only `reveal` and the API's answer."""
    caplog.set_level(logging.DEBUG)
    shown: list[object] = []

    async def main() -> list[Secret]:
        async with staged(databases) as stage:
            once = Once("key", b"fingerprint", 201, lambda given: str(given.to_json()).encode())
            key = await stage.sender.create_organisation_key("another")
            made = await stage.sender.tenant(stage.organisation, once).create_subscription(URL, [CREATED])
            added = await stage.tenant.add_secret(made.id)
            for call in (
                stage.sender.tenant(stage.organisation, once).create_subscription(URL, [CREATED]),
                stage.tenant.remove_secret(made.id, "sec_x"),
                stage.tenant.update_subscription(made.id, Changes(url="\0")),
            ):
                with pytest.raises((ApiError, AlreadyAnswered)) as caught:
                    await call
                shown.append(str(caught.value))
            await stage.tenant.test(made.id)
            shown.extend([key, made, added, stage.sender.context, await stage.tenant.subscription(made.id)])
            assert made.initial_secret is not None
            return [key.key, made.initial_secret, added.secret]

    revealed = [secret.reveal() for secret in asyncio.run(main())]
    assert len(set(revealed)) == 3
    seen = " ".join([caplog.text, *map(repr, shown), *map(str, shown)])
    assert "wbs_" in seen
    assert not [plain for plain in revealed if plain in seen or plain[14:] in seen]
