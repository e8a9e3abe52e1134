"""An API on loopback, an inbox and a memory, in this process: what a reconciling works on, without an endpoint."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from kirimhook.backends import open_inbox
from kirimhook.client import AsyncKirim
from kirimhook.contract.events import dedupe_key
from kirimhook.operating.reconciling.looking import Place
from kirimhook.operating.reconciling.memory import Memory
from kirimhook.receiver.inbox import Inbox
from kirimhook.receiver.model import InboundEvent
from tests.operating.reconciling.bare import Bare
from tests.operating.replaying.provider import Provider, providing
from tests.sender.api import listening
from tests.sender.databases import Databases

Test = Callable[[Provider, Place], Awaitable[None]]


def run(databases: Databases, folder: Path, test: Test, *, knows_ours: bool = True) -> None:
    async def main() -> None:
        async with _placed(databases, folder, knows_ours) as (provider, place):
            await test(provider, place)

    asyncio.run(main())


@contextlib.asynccontextmanager
async def _placed(databases: Databases, folder: Path, knows_ours: bool) -> AsyncIterator[tuple[Provider, Place]]:
    inbox = open_inbox("sqlite:///:memory:")
    await inbox.open()
    try:
        async with contextlib.AsyncExitStack() as stack:
            provider = await stack.enter_async_context(providing(databases))
            client, subscription = provider.client, provider.subscription
            if not knows_ours:
                provider.front.knows_ours = False
                url = await stack.enter_async_context(listening(Bare(provider.front)))  # type: ignore[arg-type]  # an ASGI application as well
                key = provider.world.api.key
                client = await stack.enter_async_context(AsyncKirim(key, base_url=url, retries=0))
            memory = stack.enter_context(Memory(folder / "memory.db"))
            yield provider, Place(client, inbox, memory, subscription)
    finally:
        await inbox.close()


async def hold(inbox: Inbox, *ids: str) -> None:
    """As a receiver does that got them."""
    keys = [(one, dedupe_key("kirim", one, "contact.created", b"")) for one in ids]
    await inbox.put(
        [InboundEvent(key, one, "contact.created", "kirim", None, True, None, "wbd_", 1, b"{}") for one, key in keys]
    )


async def event_ids(provider: Provider) -> list[str]:
    rows = await provider.databases.rows("SELECT event_id FROM deliveries WHERE kind = 'original' ORDER BY id")
    return [row[0] for row in rows]
