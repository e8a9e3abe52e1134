"""An erased event leaves nothing on the disk that says whom it was about, and its claim, number and state: whenever
whoever erases is killed, whatever else happens to the event, and whoever looks."""

from __future__ import annotations

import asyncio
import contextlib
import random
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kirimhook.backends.jetstream import journal
from kirimhook.backends.jetstream.inbox import JetStreamInbox
from kirimhook.backends.jetstream.link import Link
from kirimhook.backends.jetstream.names import Names
from kirimhook.receiver.inbox import Filter, InboxUnavailable, PayloadPurged
from kirimhook.receiver.model import (
    FINISHED,
    Done,
    EventState,
    InboundEvent,
    Lease,
    Outcome,
    Parked,
    Receipt,
    RetryAt,
    Settlement,
    Skipped,
    StoredEvent,
    Unhandled,
)
from kirimhook.testing.nats import NatsCluster
from tests.backends.jetstream.handles import DAY, DyingLink, Handles, done, drain, handles, link_of
from tests.backends.jetstream.rig import NOW, event

WHOM = "6281234567890"
ENDINGS: dict[str, Outcome] = {
    "done": Done(),
    "parked": Parked(f"no such customer: {WHOM}"),
    "unhandled": Unhandled(),
    "skipped": Skipped(),
}


def about(name: str) -> InboundEvent:
    """An event whose id, ordering key and body say whom it is about; as the dedupe key says nothing."""
    found = event(f"{name} {WHOM}", f"{name} {WHOM}", f'{{"from":"+{WHOM}"}}'.encode())
    return found._replace(dedupe_key=name.encode(), delivery_id=f"wbd_{WHOM}")


EVENTS = [about(name) for name in ENDINGS]


async def handle(inbox: JetStreamInbox, there: Handles) -> None:
    """Each fails once, then ends in its own way."""
    for lease in await inbox.lease(10, 30):
        await settle(inbox, lease, RetryAt(NOW, f"try {WHOM} again"))
    there.clock.advance(1)
    for lease in await inbox.lease(10, 30):
        await settle(inbox, lease, ENDINGS[lease.run[0].event.event_id.split()[0]])


async def settle(inbox: JetStreamInbox, lease: Lease, outcome: Outcome) -> None:
    assert await inbox.settle([Settlement(lease.token, lease.run[0].number, outcome)]) == [True]


async def shown(inbox: JetStreamInbox) -> list[StoredEvent]:
    """By state, so that events of several partitions, whose order is chance, compare."""
    found = (await inbox.list(Filter(), 100)).events
    assert sorted(found, key=lambda one: one.number) == await inbox.read(0, 100)
    assert [await inbox.get(one.number) for one in found] == found
    assert await inbox.count(Filter(types=("message.*",))) == len(found)
    counts = (await inbox.stats()).counts
    for state in EventState:
        of_state = [one.number for one in found if one.state is state]
        assert counts[state] == len(of_state)
        assert [one.number for one in (await inbox.list(Filter(states=frozenset({state})), 100)).events] == of_state
    return found


def bearing(cluster: NatsCluster) -> Iterator[Path]:
    """Files of the servers with the customer's number in them."""
    for node in cluster.nodes:
        for path in node.folder.rglob("*"):
            with contextlib.suppress(FileNotFoundError, IsADirectoryError):
                if WHOM.encode() in path.read_bytes():
                    yield path


def is_erased(stored: StoredEvent) -> bool:
    said = (stored.event.event_id, stored.event.delivery_id, stored.event.ordering_key, stored.reason)
    return said == ("", "", None, None) and not stored.event.body and not stored.has_payload


def test_nothing_is_left_of_whom_it_was_about(node: NatsCluster) -> None:
    """Not in any file of the server: not of the body, the ids, the key, why it failed or why it was parked. Number,
    state, counts and claim stay, for every handle."""

    async def play() -> None:
        async with handles(node, partitions=2) as there:
            inbox, other = await there.open(), await there.open()
            await inbox.put(EVENTS)
            await handle(inbox, there)
            before = await shown(other)
            assert {path.parent.parent.name.rpartition("_")[2] for path in bearing(node)} == {
                "events",
                "journal",
                "aside",
            }
            numbers = [one.number for one in before]
            assert await inbox.erase([*numbers, *numbers, 999]) == len(EVENTS)
            assert list(bearing(node)) == []
            after = await shown(inbox)
            assert after == await shown(other) == await shown(await there.open())
            assert [(one.number, one.state) for one in after] == [(one.number, one.state) for one in before]
            assert [one.finished_at for one in after] == [one.finished_at for one in before]
            assert all(map(is_erased, after))
            again = [about("done"), *EVENTS]
            assert await other.put(again) == [
                Receipt.DUPLICATE_PARKED if one.dedupe_key == b"parked" else Receipt.DUPLICATE for one in again
            ]
            assert await other.known([b"parked", b"nobody", b"done"]) == [EventState.PARKED, None, EventState.DONE]
            assert await other.erase(numbers) == 0
            with pytest.raises(PayloadPurged):
                await other.put_back(Filter(numbers=tuple(numbers)))
            assert await other.put_back(Filter(states=FINISHED)) == 0
            assert await drain(inbox) == []

    asyncio.run(play())


def test_replicas_have_nothing_left_either(three: NatsCluster) -> None:
    async def play() -> None:
        async with handles(three, partitions=2) as there:
            inbox = await there.open()
            await inbox.put(EVENTS)
            await handle(inbox, there)
            assert await inbox.erase([one.number for one in await shown(inbox)]) == len(EVENTS)
            assert all(map(is_erased, await shown(await there.open())))
            assert await inbox.put(EVENTS[:1]) == [Receipt.DUPLICATE]
            streams = [path for path in bearing(three) if "_js_" not in path.parts]
            assert streams == []

    asyncio.run(play())


async def killed_after(node: NatsCluster, writes: float) -> int:
    """Who erases dies after so many writes; whoever comes next has all of it whole or erased, and can finish."""
    async with handles(node, partitions=2) as there:
        first = await there.open(DyingLink, commit_bound=1)
        await first.put(EVENTS)
        await handle(first, there)
        before = await shown(first)
        numbers = [one.number for one in before]
        link_of(first).writes, link_of(first).left = 0, writes
        with contextlib.suppress(InboxUnavailable):
            assert await first.erase(numbers) == len(EVENTS)
        made: int = link_of(first).writes
        if writes < float("inf"):
            link_of(first).left = 0
        second = await there.open()
        assert set(await second.put(EVENTS)) <= {Receipt.DUPLICATE, Receipt.DUPLICATE_PARKED}
        between = await shown(second)
        assert [(one.number, one.state) for one in between] == [(one.number, one.state) for one in before]
        assert all(is_erased(one) or one in before for one in between)
        left = [one.number for one in between if not is_erased(one)]
        assert await second.known([one.dedupe_key for one in EVENTS]) == list(map(state_of, EVENTS))
        assert await second.erase(numbers) == len(left)
        assert all(map(is_erased, await shown(second)))
        assert await second.put(EVENTS) == [
            Receipt.DUPLICATE_PARKED if state_of(one) is EventState.PARKED else Receipt.DUPLICATE for one in EVENTS
        ]
        assert await drain(second) == []
        there.clock.advance(33 * DAY)
        while (await second.purge(10)).more:
            pass
        assert {one.state for one in await shown(second)} == {EventState.PARKED}
    return made


def state_of(one: InboundEvent) -> EventState:
    return EventState(one.dedupe_key.decode())


def test_whatever_write_was_the_last_one_erasing_again_finishes(
    node: NatsCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "ENOUGH_RECORDS", 1000)  # a purge that is not ours would overwrite nothing

    async def all_of_them() -> int:
        made = await killed_after(node, float("inf"))
        assert list(bearing(node)) == []
        for writes in range(made):
            await killed_after(node, writes)
            assert list(bearing(node)) == [], f"after {writes} writes"
        return made

    assert asyncio.run(all_of_them()) > 25


class Meddling(Link):
    """Something else happens just before a tombstone is published."""

    meddle: Any = None

    async def publish(self, subject: str, payload: bytes, *, expected: int | None = None, over: str = "") -> int:
        if ".ev." in subject and self.meddle is not None:
            meddle, self.meddle = self.meddle, None
            await meddle()
        return await super().publish(subject, payload, expected=expected, over=over)


def test_what_is_put_back_meanwhile_is_left_and_handled(node: NatsCluster) -> None:
    """Its tombstone goes; what ends again is erased by the next call."""

    async def play() -> None:
        async with handles(node, partitions=1) as there:
            inbox, other = await there.open(Meddling), await there.open()
            await inbox.put(EVENTS[:1])
            await handle(inbox, there)
            number = (await shown(inbox))[0].number
            link_of(inbox).meddle = lambda: other.put_back(Filter(numbers=(number,)))
            assert await inbox.erase([number]) == 0
            assert [one.state for one in await shown(other)] == [EventState.WAITING]
            assert await inbox.put(EVENTS[:1]) == [Receipt.DUPLICATE]
            assert await inbox.known([b"done"]) == [EventState.WAITING]
            assert await drain(other) == [EVENTS[0].event_id]
            assert await inbox.erase([number]) == 1
            assert is_erased((await shown(other))[0])

    asyncio.run(play())


def test_two_who_erase_the_same_erase_it_once(node: NatsCluster) -> None:
    async def play() -> None:
        async with handles(node, partitions=3) as there:
            inbox, other = await there.open(), await there.open()
            named = [about(f"e{index}") for index in range(40)]
            await inbox.put(named)
            assert len(await drain(inbox)) == len(named)
            numbers = [one.number for one in await shown(inbox)]
            erased = await asyncio.gather(inbox.erase(numbers), other.erase(numbers[::-1]), inbox.erase(numbers[:7]))
            assert sum(erased) == len(named)
            assert all(map(is_erased, await shown(other)))

    asyncio.run(play())


def test_in_the_company_of_others(node: NatsCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """While events are handled, put back, put again and shortened away: each is there once, and a duplicate always."""
    monkeypatch.setattr(journal, "ENOUGH_RECORDS", 10)
    chance = random.Random(5)  # which events are meant is no secret

    async def play() -> None:
        async with handles(node, partitions=3) as there:
            inboxes = [await there.open() for _ in range(3)]
            named = [event(f"e{index}", f"k{index % 20}") for index in range(300)]
            await inboxes[0].put(named)
            erased = 0

            async def work(inbox: JetStreamInbox) -> None:
                for lease in await inbox.lease(8, 600):
                    await inbox.settle(
                        [one._replace(outcome=chance.choice(list(ENDINGS.values()))) for one in done(lease)]
                    )

            async def turn() -> None:
                nonlocal erased
                meant = tuple(chance.sample(range(1, 301), 30))
                verbs = (work(inboxes[0]), work(inboxes[1]), inboxes[2].put_back(Filter(numbers=meant[:10])))
                results = await asyncio.gather(
                    inboxes[0].erase(meant), inboxes[1].erase(meant[15:]), inboxes[1].put(named[::7]), *verbs,
                    return_exceptions=True,
                )  # fmt: skip
                assert {type(one) for one in results} <= {int, list, type(None), PayloadPurged}
                erased += sum(one for one in results[:2] if isinstance(one, int))
                assert isinstance(results[2], list)
                assert Receipt.FRESH not in results[2]

            for _ in range(60):
                await turn()
            while await drain(inboxes[2]):
                pass
            found = await inboxes[0].read(0, 400)
            assert [one.number for one in found] == list(range(1, 301))
            assert sum(map(is_erased, found)) == erased > 250
            assert [one.state for one in found] == await inboxes[1].known([one.dedupe_key for one in named])
            assert {one.event.dedupe_key for one in found} == {one.dedupe_key for one in named}
            counts = Counter(one.state for one in found)
            for inbox in [*inboxes, await there.open()]:
                assert (await inbox.stats()).counts == {state: counts[state] for state in EventState}

    asyncio.run(play())


def test_unfinished_events_are_left_and_a_backlog_does_not_matter(node: NatsCluster) -> None:
    """Also while nothing is leased, and tombstones stand behind more than is ever read ahead."""

    async def play() -> None:
        async with handles(node, partitions=1) as there:
            inbox = await there.open()
            await inbox.put(EVENTS)
            await handle(inbox, there)
            numbers = [one.number for one in await shown(inbox)]
            await inbox.pause()
            for start in range(0, 2_500, 500):
                await inbox.put([event(f"e{index}") for index in range(start, start + 500)])
            first = (await inbox.read(max(numbers), 1))[0].number
            assert await inbox.erase([*numbers, first]) == len(EVENTS)
            assert (await inbox.stats()).counts[EventState.WAITING] == 2_500
            other = await there.open()
            assert (await other.stats()).counts[EventState.PARKED] == 1
            assert all(map(is_erased, await other.read(0, len(EVENTS))))
            await other.resume()
            assert len(await drain(other)) == 2_500
            assert (await inbox.stats()).counts == (await other.stats()).counts

    asyncio.run(play())


def test_what_others_adopted_is_erased_too(node: NatsCluster) -> None:
    """It is finished before anybody has noted it; what was erased there already counts as nothing here."""

    async def play() -> None:
        async with handles(node, partitions=2) as there, handles(node, partitions=2) as elsewhere:
            source, inbox = await elsewhere.open(), await there.open()
            await source.put(EVENTS)
            await handle(source, elsewhere)
            found = await source.read(0, 10)
            assert await source.erase([found[0].number]) == 1
            assert await inbox.adopt(await source.read(0, 10)) == len(EVENTS)
            here = sorted(one.number for one in await shown(inbox))
            assert await inbox.erase(here) == len(EVENTS) - 1
            assert all(map(is_erased, await shown(inbox)))
            assert await inbox.known([one.dedupe_key for one in EVENTS]) == list(map(state_of, EVENTS))

    asyncio.run(play())


async def snapshots(link: Link, name: str) -> list[tuple[journal.Part, bytes]]:
    names = Names(name)
    found = await link.read(names.journal, names.snapshot(0), 1, 1000, 1 << 20)
    return [journal._part(message.payload) for message in found]


def test_snapshots_that_say_why_are_overwritten(node: NatsCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Written while the event waited to be tried again. One whose writer was killed before its last part is no
    obstacle."""
    monkeypatch.setattr(journal, "ENOUGH_RECORDS", 3)
    monkeypatch.setattr(journal, "PART", 50)

    async def play() -> None:
        async with handles(node, partitions=1) as there:
            first = await there.open(DyingLink, commit_bound=1)
            name, link = first._settings.name, link_of(first)
            await first.put(EVENTS[:1])
            await settle(first, (await first.lease(1, 30))[0], RetryAt(NOW, f"try {WHOM} again"))
            await first.pause()  # the third record: a snapshot is due
            await first.close()
            monkeypatch.setattr(journal, "ENOUGH_RECORDS", 1000)
            second = await there.open()
            link = link_of(second)
            whole = await snapshots(link, name)
            assert [part.place for part, _ in whole] == list(range(whole[0][0].of))
            assert WHOM.encode() in zlib.decompress(b"".join(data for _, data in whole))
            half = journal._parts(b"?" * 99, whole[0][0].upto + 1)[0]
            await link.publish(Names(name).snapshot(0), half, expected=(await snapshots_end(link, name)))
            await second.resume()
            assert len(await drain(second)) == 1
            assert await second.erase([1]) == 1
            left = await snapshots(link, name)
            assert [part.place for part, _ in left] == list(range(left[0][0].of))
            assert WHOM.encode() not in zlib.decompress(b"".join(data for _, data in left))
            assert await shown(await there.open()) == await shown(second)

    asyncio.run(play())


async def snapshots_end(link: Link, name: str) -> int:
    last = await link.last(Names(name).journal, Names(name).snapshot(0))
    return last.sequence if last is not None else 0
