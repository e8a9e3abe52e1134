"""Many at once: threads and handles that put and work together, each event handled once, those of a key in order."""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict

from kirimhook.receiver.inbox import Inbox
from kirimhook.receiver.model import Done, LeasedEvent, Released, RetryAt, Settlement
from kirimhook.testing.conformance.bench import Bench
from kirimhook.testing.conformance.suite import PATIENCE, Suite, played, requires

KEYS = (None, "k", "l", "m", "n")
EVENTS = 240
PUTTERS = 3


class Account:
    """What was handled, by all threads."""

    def __init__(self) -> None:
        self.handled: list[LeasedEvent] = []
        self.at_work: set[str] = set()
        self.trouble: list[str] = []
        self._guard = threading.Lock()

    @property
    def over(self) -> bool:
        return len(self.handled) >= EVENTS or bool(self.trouble)

    def begin(self, key: str | None) -> None:
        with self._guard:
            if key in self.at_work:
                self.trouble.append(f"two hold {key}")
            if key is not None:
                self.at_work.add(key)

    def end(self, key: str | None, handled: list[LeasedEvent]) -> None:
        """Before it is settled, so that whoever takes the key next comes after it here."""
        with self._guard:
            self.handled += handled
            self.at_work.discard(key or "")


async def put_some(inbox: Inbox, bench: Bench, mine: int) -> None:
    """Every event comes from two of the putters, in its key's order."""
    for index in range(EVENTS):
        if index % PUTTERS != mine:
            await inbox.put([bench.event(f"{index:03}", KEYS[index % len(KEYS)])])


async def work(inbox: Inbox, account: Account, mine: int) -> None:
    """Some events are let go or fail once, in turn; they come again."""
    turn = mine
    while not account.over:
        for lease in await inbox.lease(3, 30):
            key = lease.run[0].event.ordering_key
            account.begin(key)
            turn += 1
            if turn % 5 == 0 and lease.run[0].attempt == 1:
                outcome = Released() if turn % 2 else RetryAt(0, "again")
                account.end(key, [])
                await settle(inbox, account, [Settlement(lease.token, lease.run[0].number, outcome)])
                continue
            numbers = [one.number for one in lease.run]
            account.end(key, list(lease.run))
            pairs = zip(numbers, [*numbers[1:], None], strict=True)
            await settle(inbox, account, [Settlement(lease.token, number, Done(), then) for number, then in pairs])
        await inbox.wait(0.02)


async def settle(inbox: Inbox, account: Account, settlements: list[Settlement]) -> None:
    if not all(await inbox.settle(settlements)):
        account.trouble.append(f"lost a lease that had not run out: {settlements}")


async def play(bench: Bench, inboxes: list[Inbox]) -> Account:
    """Putters and a worker on each inbox, each in a thread and a loop of its own."""
    account = Account()
    parts = [put_some(inboxes[mine % len(inboxes)], bench, mine) for mine in range(PUTTERS)]
    parts += [work(inbox, account, mine) for mine, inbox in enumerate(inboxes)]
    threads = asyncio.gather(*(asyncio.to_thread(asyncio.run, part) for part in parts))
    try:
        async with asyncio.timeout(PATIENCE * 0.9):
            await asyncio.shield(threads)
    except TimeoutError:
        account.trouble.append(f"{len(account.handled)} of {EVENTS} handled")  # which also ends the threads
        await threads
    return account


def assert_once_and_in_order(account: Account) -> None:
    assert account.trouble == []
    names = [one.event.event_id for one in account.handled]
    assert sorted(names) == [f"{index:03}" for index in range(EVENTS)]
    by_key: dict[str | None, list[int]] = defaultdict(list)
    for one in account.handled:
        by_key[one.event.ordering_key].append(one.number)
    for key in KEYS[1:]:
        assert by_key[key] == sorted(by_key[key])


class Crowding(Suite):
    @played
    async def test_threads_share_one_handle(self, bench: Bench) -> None:
        assert_once_and_in_order(await play(bench, [bench.inbox] * 3))

    @requires("shared")
    @played
    async def test_threads_have_a_handle_each(self, bench: Bench) -> None:
        handles = [bench.inbox, await bench.another(), await bench.another()]
        assert_once_and_in_order(await play(bench, handles))
        assert [await handle.lease(10, 30) for handle in handles] == [[], [], []]

    @requires("shared")
    @played
    async def test_handles_that_put_to_one_key_agree_on_its_order(self, bench: Bench) -> None:
        """What is acknowledged before another is put comes before it, through whichever handle."""
        handles = [bench.inbox, await bench.another()]
        for index in range(40):
            await handles[index % 2].put([bench.event(f"{index:02}", "k")])
        assert [one.event.event_id for one in (await bench.one()).run] == [f"{index:02}" for index in range(40)]
