"""The schema: made once, however many ask at once, by name, and in a database that can hold it."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from kirimhook.backends.postgres.migrate import MIGRATIONS, migrate, needed
from kirimhook.backends.postgres.settings import PostgresSettings
from kirimhook.receiver.inbox import InboxUnavailable
from kirimhook.testing.postgres import PostgresServer
from tests.backends.postgres.places import Place

NAMES = [migration.name for migration in MIGRATIONS]


def test_applied_once_and_then_up_to_date(place: Place) -> None:
    assert asyncio.run(migrate(place.url)) == NAMES
    assert asyncio.run(migrate(place.url)) == []
    assert needed() == str(len(NAMES))


def test_several_at_once_apply_it_once(place: Place) -> None:
    async def play() -> None:
        applied = await asyncio.gather(*(migrate(place.url) for _ in range(4)))
        assert sorted(applied) == [[], [], [], NAMES]

    asyncio.run(play())


def test_two_inboxes_live_in_one_database(server: PostgresServer) -> None:
    async def play() -> None:
        one, other = Place(server), Place(server)
        async with one.opened() as here, other.opened() as there:
            await here.pause()
            assert not (await there.stats()).paused

    asyncio.run(play())


def test_a_newer_schema_is_left_as_it_is(place: Place) -> None:
    async def play() -> None:
        await migrate(place.url)
        async with place.outside() as outside:
            await outside.execute(f"UPDATE {place.schema}.version SET number = 99")
        with pytest.raises(InboxUnavailable) as raised:
            await migrate(place.url)
        assert raised.value.reason == "newer_schema"

    asyncio.run(play())


def test_a_database_that_cannot_hold_every_text_is_refused(server: PostgresServer) -> None:
    async def play() -> None:
        connection = await asyncpg.connect(server.url())
        await connection.execute("CREATE DATABASE narrow ENCODING 'LATIN1' TEMPLATE template0")
        await connection.close()
        with pytest.raises(InboxUnavailable) as raised:
            await migrate(server.url("narrow"))
        assert raised.value.reason == "not_utf8"

    asyncio.run(play())


def test_a_database_that_is_not_there(server: PostgresServer) -> None:
    with pytest.raises(InboxUnavailable) as raised:
        asyncio.run(migrate(server.url("nowhere")))
    assert raised.value.reason == "refused"


def test_a_url_says_what_is_ours_and_what_is_the_driver_s() -> None:
    url = "postgresql://user:pw@host:1/db?sslmode=require&schema=mine&poll_only=true&dedupe_days=40&application_name=a"
    settings = PostgresSettings.from_url(f"{url}&target_session_attrs=any", transactions=3)
    assert settings.dsn == "postgresql://user:pw@host:1/db?sslmode=require&application_name=a"
    assert (settings.schema, settings.poll_only, settings.dedupe_days, settings.transactions) == ("mine", True, 40, 3)
    assert "pw" not in repr(settings)
    assert PostgresSettings.from_url("postgres://host/db?schema=x").dsn == "postgres://host/db"


@pytest.mark.parametrize(
    ("url", "options", "named"),
    [
        ("mysql://host/db", {}, "postgresql://"),
        ("postgresql:///db", {"schema": "Mine"}, "schema"),
        ("postgresql:///db?schema=a%22b", {}, "schema"),
        ("postgresql:///db?schema=" + "a" * 49, {}, "schema"),
        ("postgresql:///db?dedupe_days=1", {}, "dedupe_days"),
        ("postgresql:///db?transactions=0", {}, "transactions"),
        ("postgresql:///db?poll_only=yes", {}, "poll_only"),
        ("postgresql:///db", {"dsn": "x"}, "dsn"),
    ],
)
def test_what_cannot_be_is_named(url: str, options: dict[str, str], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        PostgresSettings.from_url(url, **options)
