"""Opened inboxes for tests of what lies between the verbs and the servers: on one name, on one clock, some of them
with a link that fails in a way that is told."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

from kirimhook.backends.jetstream.inbox import JetStreamInbox
from kirimhook.backends.jetstream.link import Link, Message, OutcomeUnknown
from kirimhook.backends.jetstream.migrate import migrate
from kirimhook.backends.jetstream.settings import JetStreamSettings
from kirimhook.receiver.inbox import InboxUnavailable
from kirimhook.receiver.model import Done, InboundEvent, Lease, Settlement
from kirimhook.testing.clock import Clock
from kirimhook.testing.nats import NatsCluster
from tests.backends.jetstream.rig import NOW, event, fresh_name

DAY = 86_400


class DyingLink(Link):
    """Lets so many writes through, then it is dead, as if its process had been killed."""

    def __init__(self, settings: JetStreamSettings) -> None:
        super().__init__(settings)
        self.left: float = float("inf")
        self.writes = 0

    def _count(self) -> None:
        self._check()
        self.left -= 1
        self.writes += 1

    def _check(self) -> None:
        if self.left <= 0:
            raise InboxUnavailable("storage_unavailable", "killed")

    async def publish(self, subject: str, payload: bytes, *, expected: int | None = None, over: str = "") -> int:
        self._count()
        return await super().publish(subject, payload, expected=expected, over=over)

    async def delete(self, stream: str, sequence: int, *, overwrite: bool = False) -> bool:
        self._count()
        return await super().delete(stream, sequence, overwrite=overwrite)

    async def purge(self, stream: str, subject: str, below: int) -> int:
        self._count()
        return await super().purge(stream, subject, below)

    async def read(self, stream: str, subject: str, seq: int, most: int, most_bytes: int) -> list[Message]:
        self._check()
        return await super().read(stream, subject, seq, most, most_bytes)


class LosingLink(Link):
    """Loses answers of appends to a journal: `stores` says whether the next ones are stored before that."""

    def __init__(self, settings: JetStreamSettings) -> None:
        super().__init__(settings)
        self.stores: list[bool] = []
        """One for each append of which no answer comes."""
        self.only = ".jr."
        """In the subjects of these appends."""

    async def publish(self, subject: str, payload: bytes, *, expected: int | None = None, over: str = "") -> int:
        if self.only not in subject or not self.stores:
            return await super().publish(subject, payload, expected=expected, over=over)
        if self.stores.pop(0):
            await super().publish(subject, payload, expected=expected, over=over)
        raise OutcomeUnknown("storage_unavailable", "no answer")


class Handles:
    """Of one inbox, made for this test."""

    def __init__(self, cluster: NatsCluster, **options: Any) -> None:
        self.url = cluster.url(fresh_name(), **options)
        self.clock = Clock(NOW / 1000)
        self._opened: list[JetStreamInbox] = []

    def settings(self, **options: Any) -> JetStreamSettings:
        return replace(JetStreamSettings.from_url(self.url), **options)

    async def open(self, link: Any = Link, **options: Any) -> JetStreamInbox:
        inbox = JetStreamInbox(self.settings(**options), self.clock, link)
        self._opened.append(inbox)
        await inbox.open()
        return inbox

    async def close(self) -> None:
        for inbox in self._opened:
            await inbox.close()


@contextlib.asynccontextmanager
async def handles(cluster: NatsCluster, **options: Any) -> AsyncIterator[Handles]:
    """Closed at the end, whatever happens."""
    made = Handles(cluster, **options)
    await migrate(made.url)
    try:
        yield made
    finally:
        await made.close()


def link_of(inbox: JetStreamInbox) -> Any:
    """The link that it was opened with."""
    session = inbox._session
    assert session is not None
    return session._link


def events(*names: str, key: str | None = None) -> list[InboundEvent]:
    return [event(name, key) for name in names]


def done(lease: Lease) -> list[Settlement]:
    """All of its run."""
    numbers = [one.number for one in lease.run]
    following: list[int | None] = [*numbers[1:], None]
    return [Settlement(lease.token, number, Done(), then) for number, then in zip(numbers, following, strict=True)]


async def drain(inbox: JetStreamInbox) -> list[str]:
    """Handle all that is due; the ids, as they came."""
    handled: list[str] = []
    while leases := await inbox.lease(100, 30):
        for lease in leases:
            held = await inbox.settle(done(lease))
            assert all(held)
            handled += [one.event.event_id for one in lease.run]
    return handled
