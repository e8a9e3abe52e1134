"""One of several processes on one inbox: `python -m tests.backends.process ROLE PATH …`, told by lines on stdin, and
telling by lines on stdout."""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import threading
import time
from collections.abc import Coroutine
from itertools import count
from typing import Any

from kirimhook.backends import open_inbox
from kirimhook.receiver.inbox import Inbox
from kirimhook.receiver.model import Done, EventState, Receipt, RetryAt, Settlement
from kirimhook.testing.conformance.bench import settlements
from tests.backends.inboxes import event

UNFINISHED = (EventState.WAITING, EventState.RUNNING)


def tell(*words: object) -> None:
    """In one write, so that a line is there whole or not at all."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


class Told:
    """Set when a line comes on stdin, or its end."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.event = asyncio.Event()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        sys.stdin.readline()
        self._loop.call_soon_threadsafe(self.event.set)


def key_of(index: int) -> str | None:
    return None if index % 5 == 0 else f"k{index % 50}"


async def load(inbox: Inbox, first: int, count: int, works: bool) -> None:
    """Put ids `first` … in some order, and work meanwhile; report which were fresh, and what was handled when."""
    told = Told()
    order = list(range(first, first + count))
    random.Random(first).shuffle(order)
    fresh: list[int] = []
    indexes = iter(order)

    async def put() -> None:
        for index in indexes:
            receipts = await inbox.put([event(f"{index}", key_of(index))])
            fresh.extend(index for receipt in receipts if receipt is Receipt.FRESH)

    handled: list[tuple[int, int, str | None]] = []
    working = asyncio.ensure_future(work(inbox, handled, told.event)) if works else None
    await asyncio.gather(*(put() for _ in range(64)))
    tell("put")
    await told.event.wait()
    if working:
        await working
    tell(json.dumps({"fresh": fresh, "handled": handled}))


async def work(inbox: Inbox, handled: list[tuple[int, int, str | None]], all_put: asyncio.Event) -> None:
    while True:
        last = all_put.is_set()
        leases = await inbox.lease(20, 60)
        ends: list[Settlement] = []
        for lease in leases:
            ends += settlements(lease, *[Done()] * len(lease.run))
            handled += [(time.monotonic_ns(), one.number, one.event.ordering_key) for one in lease.run]
        if not all(await inbox.settle(ends)):
            raise AssertionError("a lease of 60 s was lost")
        if not leases:
            counts = (await inbox.stats()).counts
            if last and not any(counts[state] for state in UNFINISHED):
                return
            await inbox.wait(0.2)


async def turns(inbox: Inbox, name: str) -> None:
    """Commit as often as it gets its turn, until told to stop; then say how often it did."""
    tell("ready")
    await Told().event.wait()
    stop = Told().event
    numbers = count()
    done = 0

    async def put() -> None:
        nonlocal done
        while not stop.is_set():
            await inbox.put([event(f"{name} {next(numbers)}")])
            done += 1
            if done == 1_000:
                tell("enough")

    await asyncio.gather(*(put() for _ in range(4)))  # one of them always waits for the next turn
    tell(done)


async def crash(inbox: Inbox, seed: str) -> None:
    """Put, work, and tell what is committed, until killed."""

    async def put(index: int) -> None:
        name = f"{seed}-{index}"
        while True:
            await inbox.put([event(name, key_of(index), os.urandom(200))])
            tell("put", name)
            index += 8
            name = f"{seed}-{index}"

    async def work_on() -> None:
        while True:
            for lease in await inbox.lease(10, 0.2):
                ends = settlements(lease, *[Done()] * (len(lease.run) - 1), RetryAt(0, "again"))
                for settled, end in zip(await inbox.settle(ends), ends, strict=True):
                    if settled and isinstance(end.outcome, Done):
                        tell("done", end.number)
            await inbox.wait(0.01)

    await asyncio.gather(*(put(index) for index in range(8)), work_on())


ROLES: dict[str, Any] = {
    "load": lambda inbox, first, count, works: load(inbox, int(first), int(count), works == "works"),
    "turns": turns,
    "crash": crash,
}


async def main(role: str, path: str, *arguments: str) -> None:
    inbox = open_inbox(f"sqlite:///{path}", commit_bound=60)
    await inbox.open()
    running: Coroutine[Any, Any, None] = ROLES[role](inbox, *arguments)
    await running
    await inbox.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
