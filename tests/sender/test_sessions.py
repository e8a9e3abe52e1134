"""A session is begun with a key and ends with it: by sign-out, by time, by the key's own end; at once, in every
process. What is stored opens nothing.
"""

from __future__ import annotations

import asyncio
from hashlib import sha256

import pytest

from kirimhook.contract.errors import ApiError
from kirimhook.sender.service import Caller, Sender
from tests.sender.databases import Databases
from tests.sender.stage import Stage, at, staged


def another(stage: Stage) -> Sender:
    """Of another process."""
    return Sender(stage.database, stage.settings, stage.sender.context.sealer, clock=stage.clock)


def test_a_session_is_the_organisation_of_its_key_in_every_process(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            key = await stage.sender.create_organisation_key("Acme GmbH")
            signed_in = await stage.sender.sign_in(key.key.reveal())
            assert signed_in.caller == Caller(key.organisation_id, "Acme GmbH", key.id)
            assert signed_in.seconds == 43_200
            token = signed_in.token.reveal()
            assert len(token) == 43
            for sender in (stage.sender, another(stage)):
                assert await sender.session(token) == signed_in.caller

    asyncio.run(main())


def test_what_is_stored_opens_nothing(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            key = (await stage.sender.create_organisation_key("acme")).key.reveal()
            token = (await stage.sender.sign_in(key)).token.reveal()
            [(digest,)] = await stage.rows("SELECT digest FROM sessions")
            assert bytes(digest) == sha256(token.encode()).digest()
            for wrong in ("", bytes(digest).hex(), token[:-1], token + "a", token.swapcase(), "é" * 43, "\0" * 43):
                assert await stage.sender.session(wrong) is None

    asyncio.run(main())


@pytest.mark.parametrize("wrong", ["", "kdv_live_", "kdv_live_" + "x" * 24, "é", "x" * 10_000])
def test_no_key_no_session(databases: Databases, wrong: str) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            with pytest.raises(ApiError, match="invalid_api_key"):
                await stage.sender.sign_in(wrong)
            assert await stage.rows("SELECT * FROM sessions") == []

    asyncio.run(main())


def test_it_ends_by_sign_out_and_the_others_of_its_key_go_on(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            key = (await stage.sender.create_organisation_key("acme")).key.reveal()
            first, second = [(await stage.sender.sign_in(key)).token.reveal() for _ in range(2)]
            await stage.sender.sign_out(first)
            await stage.sender.sign_out(first)  # twice does no harm
            assert await another(stage).session(first) is None
            assert await another(stage).session(second) is not None

    asyncio.run(main())


def test_a_new_session_takes_the_place_of_the_one_that_the_browser_had(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            key = (await stage.sender.create_organisation_key("acme")).key.reveal()
            first = (await stage.sender.sign_in(key)).token.reveal()
            second = (await stage.sender.sign_in(key, first)).token.reveal()
            assert first != second
            assert await stage.sender.session(first) is None
            assert await stage.sender.session(second) is not None

    asyncio.run(main())


def test_it_ends_by_time(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases, session_seconds=600.0) as stage:
            key = (await stage.sender.create_organisation_key("acme")).key.reveal()
            token = (await stage.sender.sign_in(key)).token.reveal()
            stage.clock.advance(599)
            assert await stage.sender.session(token) is not None
            stage.clock.advance(1)
            assert await stage.sender.session(token) is None

    asyncio.run(main())


def test_it_ends_with_its_key_at_once(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            revoked = await stage.sender.create_organisation_key("acme")
            expiring = await stage.sender.create_organisation_key("acme", at(60))
            of_revoked, of_expiring = [
                (await stage.sender.sign_in(key.key.reveal())).token.reveal() for key in (revoked, expiring)
            ]
            elsewhere = another(stage)
            assert await elsewhere.session(of_revoked) is not None
            await stage.sender.revoke_key("acme", revoked.id)
            assert await elsewhere.session(of_revoked) is None
            assert await elsewhere.session(of_expiring) is not None
            stage.clock.advance(60)
            assert await elsewhere.session(of_expiring) is None

    asyncio.run(main())


def test_housekeeping_forgets_what_has_expired_in_bounded_rounds_and_nothing_else(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases, session_seconds=600.0, keep_batch=2) as stage:
            key = (await stage.sender.create_organisation_key("acme")).key.reveal()
            for _ in range(5):
                await stage.sender.sign_in(key)
            stage.clock.advance(599)
            assert (await stage.sender.keep()).sessions == 0
            token = (await stage.sender.sign_in(key)).token.reveal()
            stage.clock.advance(1)
            rounds = [await stage.sender.keep() for _ in range(3)]
            assert [(kept.sessions, kept.more) for kept in rounds] == [(2, True), (2, True), (1, False)]
            assert await stage.one("SELECT count(*) FROM sessions") == 1
            assert await stage.sender.session(token) is not None

    asyncio.run(main())


def test_who_keeps_house_at_the_same_time_is_not_waited_for(databases: Databases) -> None:
    """On PostgreSQL two purges overlap; on SQLite there is one writer. Each expired session is forgotten once."""

    async def main() -> None:
        async with staged(databases, session_seconds=600.0) as stage:
            key = (await stage.sender.create_organisation_key("acme")).key.reveal()
            for _ in range(40):
                await stage.sender.sign_in(key)
            stage.clock.advance(600)
            kept = await asyncio.gather(*[another(stage).keep() for _ in range(4)])
            assert sum(one.sessions for one in kept) == 40
            assert await stage.one("SELECT count(*) FROM sessions") == 0

    asyncio.run(main())
