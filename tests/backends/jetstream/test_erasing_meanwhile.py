"""Whoever looks at an event while another handle erases it finds it: its message may be gone, and the record that names
its tombstone be appended, after the look at the journal. Or what is copied to another inbox meanwhile would lack the
claim, and `reconcile` would replay what is held.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from kirimhook.backends.jetstream.inbox import JetStreamInbox
from kirimhook.backends.jetstream.link import Link, Message
from kirimhook.backends.jetstream.settings import JetStreamSettings
from kirimhook.receiver.model import EventState, StoredEvent
from kirimhook.testing.nats import NatsCluster
from tests.backends.jetstream.handles import drain, events, handles, link_of


class MeanwhileLink(Link):
    """Lets something happen, once, before it looks into the events' stream."""

    def __init__(self, settings: JetStreamSettings) -> None:
        super().__init__(settings)
        self.meanwhile: Callable[[], Awaitable[object]] | None = None

    async def _happen(self, stream: str) -> None:
        happens = self.meanwhile
        if happens is not None and stream.endswith("_events"):
            self.meanwhile = None
            await happens()

    async def read(self, stream: str, subject: str, seq: int, most: int, most_bytes: int) -> list[Message]:
        await self._happen(stream)
        return await super().read(stream, subject, seq, most, most_bytes)

    async def last(self, stream: str, subject: str, *, leader: bool = True) -> Message | None:
        await self._happen(stream)
        return await super().last(stream, subject, leader=leader)

    async def get(self, stream: str, sequence: int) -> Message | None:
        await self._happen(stream)
        return await super().get(stream, sequence)


LOOKS: dict[str, Callable[[JetStreamInbox, int], Awaitable[object]]] = {
    "known": lambda inbox, _: inbox.known([b"meta:mine"]),
    "get": lambda inbox, number: state_of(inbox.get(number)),
    "read": lambda inbox, _: states_of(inbox.read(0, 100)),
}


async def state_of(got: Awaitable[StoredEvent | None]) -> list[EventState | None]:
    found = await got
    return [None if found is None else found.state]


async def states_of(read: Awaitable[list[StoredEvent]]) -> list[EventState | None]:
    return [one.state for one in await read]


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_who_looks_while_another_erases_finds_the_event(
    node: NatsCluster, look: Callable[[JetStreamInbox, int], Awaitable[object]]
) -> None:
    async def play() -> None:
        async with handles(node, partitions=2) as there:
            inbox, other = await there.open(MeanwhileLink), await there.open()
            (mine,) = events("mine")
            await other.put([mine])
            assert await drain(other) == ["mine"]
            (number,) = [one.number for one in await inbox.read(0, 100)]
            erased: list[int] = []

            async def erase() -> None:
                erased.append(await other.erase([number]))

            link_of(inbox).meanwhile = erase
            assert await look(inbox, number) == [EventState.DONE]
            assert erased == [1]

    asyncio.run(play())
