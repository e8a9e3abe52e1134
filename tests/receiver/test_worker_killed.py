"""An event that kills its worker, every time, ends parked after its attempts; the innocents beside it are completed."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from kirimhook.backends import open_inbox
from kirimhook.receiver.inbox import Filter
from kirimhook.receiver.model import EventState
from tests.receiver.working import inbound, url_of

ATTEMPTS = 4
DIED = 9

PROGRAM = """
import asyncio, os, sys
from kirimhook import Hooks, Worker, open_inbox
from kirimhook.receiver.model import EventState
from kirimhook.settings import ReceiverSettings

hooks = Hooks()

@hooks.on("killer.one")
async def killer(event):
    os._exit(int(sys.argv[2]))

@hooks.on("*")
async def innocent(event):
    await asyncio.sleep(0)

async def main():
    inbox = open_inbox(sys.argv[1])
    await inbox.open()
    settings = ReceiverSettings(lease=0.3, attempts=int(sys.argv[3]), concurrency=4)
    async with Worker(inbox, hooks, settings=settings) as worker:
        while True:
            await worker.idle()
            counts = (await inbox.stats()).counts
            if not counts[EventState.WAITING] + counts[EventState.RUNNING]:
                break
            await inbox.wait(5)
    await inbox.close()

asyncio.run(main())
"""


def test_a_killer_ends_parked_and_the_innocents_are_completed(tmp_path: Path) -> None:
    url = url_of(tmp_path)
    killer = inbound("key of the killer", kind="killer.one")
    innocents = [inbound(key) for key in ("key of the killer", "key of the killer", "a", "a", "b", None, None, None)]

    async def store() -> None:
        inbox = open_inbox(url)
        await inbox.open()
        await inbox.put([*innocents[3:], killer, *innocents[:3]])
        await inbox.close()

    async def account() -> dict[str, tuple[EventState, int]]:
        inbox = open_inbox(url)
        await inbox.open()
        page = await inbox.list(Filter(), limit=100)
        await inbox.close()
        return {stored.event.event_id: (stored.state, stored.attempts) for stored in page.events}

    asyncio.run(store())
    codes: list[int] = []
    while not codes or codes[-1] == DIED:
        command = [sys.executable, "-W", "error", "-c", PROGRAM, url, str(DIED), str(ATTEMPTS)]
        codes.append(subprocess.run(command, timeout=60, check=False).returncode)
    assert codes == [DIED] * ATTEMPTS + [0]
    states = asyncio.run(account())
    assert states.pop(killer.event_id) == (EventState.PARKED, ATTEMPTS + 1)  # the last lease parks it, without a call
    assert {state for state, _ in states.values()} == {EventState.DONE}
    assert len(states) == len(innocents)
