"""Streams: made once, checked at every open, brought up to date; and what the servers promise."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kirimhook.backends.jetstream.link import Link
from kirimhook.backends.jetstream.migrate import migrate, needed
from kirimhook.backends.jetstream.names import Names
from kirimhook.backends.jetstream.promise import ALWAYS, promise, promise_of
from kirimhook.backends.jetstream.settings import JetStreamSettings
from kirimhook.backends.jetstream.streams import SCHEMA, SCHEMA_KEY, Layout, check
from kirimhook.receiver.inbox import InboxUnavailable
from kirimhook.testing.nats import NatsCluster, nats_cluster
from tests.backends.jetstream.rig import fresh_name, linked


async def change(link: Link, stream: str, **changes: Any) -> dict[str, Any]:
    config = (await link.info(stream))["config"]
    answer = await link.api(f"STREAM.UPDATE.{stream}", {**config, **changes})
    return dict(answer["config"])


async def reason_of(link: Link, name: str) -> tuple[str, str]:
    with pytest.raises(InboxUnavailable) as refused:
        await check(link, Names(name))
    return refused.value.reason, refused.value.detail


def test_an_inbox_without_streams_has_to_be_migrated(node: NatsCluster) -> None:
    """Then it serves, with the partitions that it was made with, whatever a later URL says."""

    async def play() -> None:
        name = fresh_name()
        async with linked(node.url(name), migrated=False) as link:
            reason, detail = await reason_of(link, name)
            assert reason == "not_migrated"
            assert "kirimhook migrate" in detail
            made = await migrate(node.url(name, partitions=3))
            assert len(made) == 3
            assert (await check(link, Names(name)))[:2] == (3, 1)
            assert await migrate(node.url(name, partitions=5)) == []
            assert (await check(link, Names(name))).partitions == 3
        assert needed() == str(SCHEMA)

    asyncio.run(play())


def test_two_may_migrate_at_once(node: NatsCluster) -> None:
    """All is there afterwards, and made only once: they agree on the partitions."""

    async def play() -> None:
        for _ in range(5):
            name = fresh_name()
            made = await asyncio.gather(*(migrate(node.url(name, partitions=wanted)) for wanted in (2, 4, 2, 4)))
            assert {step.split()[1] for steps in made for step in steps} == {
                f"{name}_{stream}" for stream in ("events", "journal", "aside")
            }
            async with linked(node.url(name), migrated=False) as link:
                assert (await check(link, Names(name))).partitions in (2, 4)

    asyncio.run(play())


@pytest.mark.parametrize(
    "changes",
    [{"max_age": 3_600_000_000_000}, {"discard": "old"}, {"max_msgs_per_subject": 1}, {"allow_direct": False}],
)
def test_settings_that_lose_events_are_not_served_and_put_right(node: NatsCluster, changes: dict[str, Any]) -> None:
    """What an operator sets beside them is kept."""

    async def play() -> None:
        name = fresh_name()
        async with linked(node.url(name)) as link:
            stream = f"{name}_events"
            await change(link, stream, max_bytes=1 << 30, compression="s2", **changes)
            reason, detail = await reason_of(link, name)
            assert reason == "not_migrated"
            assert next(iter(changes)) in detail
            steps = await migrate(node.url(name))
            assert len(steps) == 1
            config = (await link.info(stream))["config"]
            assert (config["max_bytes"], config["compression"]) == (1 << 30, "s2")
            assert await check(link, Names(name))

    asyncio.run(play())


def test_streams_of_a_newer_kirimhook_are_left_alone(node: NatsCluster) -> None:
    async def play() -> None:
        name = fresh_name()
        async with linked(node.url(name)) as link:
            metadata = (await link.info(f"{name}_journal"))["config"]["metadata"]
            await change(link, f"{name}_journal", metadata={**metadata, SCHEMA_KEY: str(SCHEMA + 1)})
            assert (await reason_of(link, name))[0] == "newer_schema"
            with pytest.raises(InboxUnavailable) as refused:
                await migrate(node.url(name))
            assert refused.value.reason == "newer_schema"

    asyncio.run(play())


def test_streams_of_the_version_before_are_brought_up_to_date(node: NatsCluster) -> None:
    """It had no place for bookmarks. What is in them stays."""

    async def play() -> None:
        name = fresh_name()
        names = Names(name)
        async with linked(node.url(name, partitions=3)) as link:
            await link.publish(names.event(1, b"k"), b"an event")
            for stream in (names.events, names.journal, names.aside):
                metadata = (await link.info(stream))["config"]["metadata"]
                older = {"subjects": [names.all_aside()]} if stream == names.aside else {}
                await change(link, stream, metadata={**metadata, SCHEMA_KEY: "1"}, **older)
            assert (await reason_of(link, name))[0] == "not_migrated"
            assert len(await migrate(node.url(name))) == 4
            assert await migrate(node.url(name)) == []
            assert (await check(link, names)).partitions == 3
            assert await link.publish(names.bookmark("told"), b"a", expected=0) == 1
            assert [one.payload for one in await link.read(names.events, names.all_events(), 1, 9, 999)] == [
                b"an event"
            ]

    asyncio.run(play())


@pytest.mark.parametrize("subjects", ["{name}.ev.*.*", "elsewhere.{name}"])
def test_streams_of_others_are_left_alone(node: NatsCluster, subjects: str) -> None:
    """One with our name, and one with our subjects."""

    async def play() -> None:
        name = fresh_name()
        stream = f"{name}_events" if "elsewhere" in subjects else f"{name}_theirs"
        async with linked(node.url(name), migrated=False) as link:
            config = {"name": stream, "subjects": [subjects.format(name=name)], "storage": "file"}
            await link.api(f"STREAM.CREATE.{stream}", config)
            with pytest.raises(InboxUnavailable) as refused:
                await migrate(node.url(name))
            assert refused.value.reason == "foreign_stream"

    asyncio.run(play())


def test_replicas_are_raised_and_never_lowered(three: NatsCluster) -> None:
    """And the servers that keep them are known by name."""

    async def play() -> None:
        names = Names("box")
        async with linked(three.url("box", replicas=1)) as link:
            assert (await check(link, names)).replicas == 1
            assert len(await migrate(three.url("box", replicas=3))) == 3
            assert await check(link, names) == Layout(8, 3, frozenset(node.name for node in three.nodes))
            assert await migrate(three.url("box", replicas=1)) == []
            unknown = await promise_of(link, JetStreamSettings.from_url(three.url("box")), await check(link, names))
            assert not unknown.durable
            assert "not known" in unknown.text
            monitors = ",".join(node.monitor for node in three.nodes)
            settings = JetStreamSettings.from_url(three.url("box", monitor=monitors))
            known = await promise_of(link, settings, await check(link, names))
            assert known.durable
            assert "power cut of all machines" in known.text

    asyncio.run(play())


def test_a_server_that_syncs_now_and_then_says_how_often() -> None:
    async def play(cluster: NatsCluster) -> None:
        async with linked(cluster.url("box")) as link:
            layout = await check(link, Names("box"))
            settings = JetStreamSettings.from_url(cluster.url("box", monitor=cluster.nodes[0].monitor))
            said = await promise_of(link, settings, layout)
            assert not said.durable
            assert "every 120 s" in said.text
            nobody = JetStreamSettings.from_url(cluster.url("box", monitor="http://127.0.0.1:1/"))
            assert "not known" in (await promise_of(link, nobody, layout)).text

    with nats_cluster(1, sync_always=False) as cluster:
        asyncio.run(play(cluster))


@pytest.mark.parametrize(
    ("replicas", "syncs", "durable", "says"),
    [
        (1, {"a": ALWAYS}, True, "on the disk of its one server"),
        (1, {"a": 120.0}, False, "every 120 s: a power cut may lose"),
        (1, {"b": ALWAYS}, False, "not known"),
        (3, {"a": ALWAYS, "b": ALWAYS, "c": ALWAYS}, True, "on the disk of 2 of 3 servers; 1 may be lost"),
        (3, {"a": ALWAYS, "b": 60.0, "c": ALWAYS}, False, "every 60 s: a power cut of several machines"),
        (3, {"a": ALWAYS, "b": ALWAYS}, False, "not known"),
        (3, {"a": ALWAYS, "b": ALWAYS, "c": None}, False, "not known"),
        (5, {}, False, "in the memory of 3 of 5 servers; 2 may be lost"),
    ],
)
def test_a_promise_is_no_more_than_every_server_says(
    replicas: int, syncs: dict[str, float | None], durable: bool, says: str
) -> None:
    """One that said nothing is not taken to be like the others."""
    made = promise(Layout(8, replicas, frozenset("abcde"[:replicas])), syncs)
    assert made.durable is durable
    assert says in made.text
