"""The schema: made once, however many ask at once, by name, and in a database that can hold it."""

from __future__ import annotations

import asyncio
from hashlib import sha256

import asyncpg
import pytest

from kirimhook.backends.postgres.migrate import MIGRATIONS, migrate, needed
from kirimhook.backends.postgres.settings import PostgresSettings
from kirimhook.receiver.inbox import InboxUnavailable
from kirimhook.receiver.model import EventState, Receipt
from kirimhook.testing.postgres import PostgresServer
from tests.backends.postgres.places import Place, event

LOOKS = """
SELECT table_name, column_name, data_type || is_nullable FROM information_schema.columns WHERE table_schema = $1
UNION ALL SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = $1
UNION ALL SELECT proname, '', pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = $1::regnamespace
ORDER BY 1, 2, 3"""
"""Tables, indexes and functions of a schema."""
NAMES = [migration.name for migration in MIGRATIONS]


def test_what_was_applied_once_is_not_changed_any_more() -> None:
    """Databases have it as it was."""
    digests = [sha256("\n".join(migration.statements).encode()).hexdigest()[:12] for migration in MIGRATIONS[:1]]
    assert digests == ["9febd5323eab"]


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


async def bring_to_version_1(place: Place) -> None:
    """As a database stands that was migrated before events could be erased."""
    async with place.outside() as outside:
        await outside.execute(f"CREATE SCHEMA {place.schema}")
        for statement in MIGRATIONS[0].statements:
            await outside.execute(statement.replace("{schema}", place.schema))
        await outside.execute(f"INSERT INTO {place.schema}.version VALUES (1)")
        await outside.execute(f"""
            INSERT INTO {place.schema}.events VALUES
                (1, 'key', 'wamid.1', 'message.received', 'meta', 'wa:1:62', true, NULL, 'wbd_1', 1);
            INSERT INTO {place.schema}.payloads VALUES (1, 'body');
            INSERT INTO {place.schema}.finished VALUES (1, 'parked', 2, 8, 'no');
            UPDATE {place.schema}.tally SET events = 1 WHERE state = 'parked';
            SELECT setval('{place.schema}.numbers', 1)""")


def test_a_schema_of_before_is_refused_until_it_is_migrated(place: Place) -> None:
    """And what it holds is there afterwards, with what came new."""

    async def play() -> None:
        await bring_to_version_1(place)
        inbox = place.inbox()
        with pytest.raises(InboxUnavailable, match="kirimhook migrate --inbox URL") as raised:
            await inbox.open()
        assert raised.value.reason == "not_migrated"
        await inbox.close()
        assert await migrate(place.url) == NAMES[1:]
        async with place.opened() as inbox:
            assert await inbox.known([b"key", b"other"]) == [EventState.PARKED, None]
            assert await inbox.move_bookmark("mine", None, "a")
            assert await inbox.erase([1, 2]) == 1
            stored = await inbox.get(1)
            assert stored is not None
            assert (stored.event.event_id, stored.attempts, stored.reason, stored.has_payload) == ("", 8, None, False)
            assert await inbox.put([event("after")]) == [Receipt.FRESH]

    asyncio.run(play())


def test_it_comes_to_the_schema_that_a_new_one_has(server: PostgresServer) -> None:
    async def looks(place: Place) -> list[tuple[str, ...]]:
        async with place.outside() as outside:
            rows = await outside.fetch(LOOKS, place.schema)
        return [tuple(str(value).replace(place.schema, "inbox") for value in row) for row in rows]

    async def play() -> None:
        old, new = Place(server), Place(server)
        await bring_to_version_1(old)
        await asyncio.gather(migrate(old.url), migrate(new.url))
        assert await looks(old) == await looks(new)
        assert len(await looks(new)) > 50

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
