"""An erased customer's number is nowhere in the bytes of a SQLite inbox: not in the file, nor in what SQLite keeps
beside it, whatever was done to the file before, and while others use it."""

from __future__ import annotations

import asyncio
import base64
import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kirimhook.contract.customers import is_named_by, number
from kirimhook.contract.events import dedupe_key
from kirimhook.receiver.inbox import Filter, Inbox, InboxUnavailable
from kirimhook.receiver.model import Done, EventState, InboundEvent, Outcome, Parked, Receipt, RetryAt
from kirimhook.testing.clock import Clock
from kirimhook.testing.conformance.bench import settlements
from tests.backends import old_inbox
from tests.backends.inboxes import START, opened, outside, stored_ids
from tests.backends.test_outages import no_room

CUSTOMERS = [f"62{number * 982_451_653 % 10**11:011d}" for number in range(31, 71)]
"""Of which no two are alike in the middle, where base64 shows them."""
FINISHED = frozenset({EventState.DONE, EventState.PARKED})


def wamid(customer: str, serial: int) -> str:
    """As Meta makes them: the customer's number is inside, at one of three places to begin a base64 group."""
    held = b"\x1d\x0c\x03"[: 1 + serial % 3] + customer.encode() + b"\x15\x02\x00\x11" + f"{serial:016x}".encode()
    return "wamid." + base64.b64encode(held).decode()


def message(customer: str, serial: int, padding: int = 0) -> InboundEvent:
    """Every other one is in the order of its customer."""
    event_id = wamid(customer, serial)
    body = f'{{"from":"{customer}","id":"{event_id}","text":"{"x" * padding}","again":"{customer}"}}'.encode()
    key = dedupe_key("meta", event_id, "message.received", body)
    lane = f"wa:1:{customer}" if serial % 2 else None
    about = ("message.received", "meta", lane, True, None, f"wbd_{serial}", int(START * 1000))
    return InboundEvent(key, event_id, *about, body)


def customer_of(event: InboundEvent) -> str:
    return str(json.loads(event.body)["from"])


def contents(path: Path) -> bytes:
    """Of the file and of all that is beside it."""
    return b"\0".join(file.read_bytes() for file in sorted(path.parent.glob(f"{path.name}*")))


def traces(path: Path, events: Sequence[InboundEvent]) -> list[str]:
    """What can still be read of these events and of whom they are about."""
    found, held = [], contents(path)
    for event in events:
        customer = customer_of(event)
        inside = {base64.b64encode(b"\0" * skip + customer.encode())[4:-4].decode() for skip in range(3)}
        found += [text for text in {customer, event.event_id, *inside} if text.encode() in held]
    return found


async def numbers_of(inbox: Inbox, customer: str) -> list[int]:
    events = await inbox.read(0, 10_000)
    return [stored.number for stored in events if is_named_by(stored.event.event_id, number(customer))]


def outcome(random: Random, customer: str) -> Outcome:
    """A reason quotes the customer, as the traceback of a handler does."""
    trace = f"ValueError: no order of {customer}\n" * random.choice([0, 1, 5, 30])
    outcomes: list[Outcome] = [Done(), Parked(trace), RetryAt(int(START * 1000), trace)]
    return random.choice(outcomes)


async def work(inbox: Inbox, random: Random) -> None:
    """Each run ends when it does."""
    while leases := await inbox.lease(256, 30):
        random.shuffle(leases)
        for lease in leases:
            await inbox.settle(settlements(lease, *(outcome(random, customer_of(one.event)) for one in lease.run)))


async def live(inbox: Inbox, clock: Clock, random: Random, events: Sequence[InboundEvent]) -> None:
    """Some are handled, some are put back, some are purged, in an order of its own."""
    for start in range(0, len(events), 100):
        await inbox.put(events[start : start + 100])
        if random.random() < 0.7:
            await work(inbox, random)
        if random.random() < 0.3:
            await inbox.put_back(Filter(states=FINISHED, types=("message.*",)))
        if random.random() < 0.3:
            clock.advance(random.choice([1, 8, 33]) * 86_400)
            while (await inbox.purge(random.choice([1, 20, 500]))).more:
                pass
    await work(inbox, random)


@given(seed=st.integers(0, 2**32), count=st.integers(1, 500), most=st.sampled_from([10, 400, 9_000]))
@example(seed=10, count=293, most=10)  # SQLite's own overwriting leaves something of these three
@example(seed=19, count=347, most=10)
@example(seed=24, count=365, most=400)
@settings(max_examples=10, deadline=None)
def test_the_number_is_nowhere_in_the_bytes(
    tmp_path_factory: pytest.TempPathFactory, seed: int, count: int, most: int
) -> None:
    random = Random(seed)
    path = tmp_path_factory.mktemp("inbox") / "inbox.db"

    async def play() -> None:
        clock = Clock(START)
        events = [message(random.choice(CUSTOMERS), serial, random.randrange(most)) for serial in range(count)]
        async with opened(path, clock) as inbox, opened(path, clock) as other:
            await live(inbox, clock, random, events)
            for customer in random.sample(CUSTOMERS, 5):
                numbers = await numbers_of(inbox, customer)
                theirs = [event for event in events if customer_of(event) == customer]
                assert not numbers or traces(path, theirs)
                assert await random.choice([inbox, other]).erase(numbers) == len(numbers)
                if numbers:
                    assert traces(path, theirs) == []
                left = {stored.event.event_id for stored in await other.read(0, 10_000)}
                assert all(event_id.encode() in contents(path) for event_id in left)

    asyncio.run(play())
    stored_ids(path)  # the file is whole


def test_a_file_of_before_is_erased_like_any_other(tmp_path: Path) -> None:
    """One whose deleted rows nobody overwrote, and without a change that the version before would not open."""
    path = tmp_path / "inbox.db"
    mine = [message(CUSTOMERS[0], serial, 3_000) for serial in range(40)]
    other = message(CUSTOMERS[1], 99)
    old_inbox.make(path, parked=[*mine[20:], other], purged=mine[:20])
    made = old_inbox.statements(path)
    assert traces(path, mine)

    async def play() -> None:
        async with opened(path) as inbox:
            assert await inbox.known([other.dedupe_key, mine[0].dedupe_key]) == [EventState.PARKED, None]
            assert await inbox.move_bookmark("mine", None, "a")
            numbers = await numbers_of(inbox, CUSTOMERS[0])
            assert await inbox.erase(numbers) == len(numbers) == 20
            assert traces(path, mine) == []
            assert await inbox.put([mine[30], mine[0], other]) == [
                Receipt.DUPLICATE_PARKED,
                Receipt.FRESH,
                Receipt.DUPLICATE_PARKED,
            ]
            assert await inbox.put_back(Filter(states=FINISHED)) == 1
            assert await inbox.bookmark("mine") == "a"

    asyncio.run(play())
    assert old_inbox.statements(path) == made


def test_a_new_file_is_made_as_one_of_before(tmp_path: Path) -> None:
    """So that the version before opens it."""
    old_inbox.make(tmp_path / "old.db", [], [])

    async def play() -> None:
        async with opened(tmp_path / "new.db") as inbox:
            await inbox.move_bookmark("mine", None, "a")
            await inbox.erase([1])

    asyncio.run(play())
    assert old_inbox.statements(tmp_path / "new.db") == old_inbox.statements(tmp_path / "old.db")


def test_a_log_that_somebody_reads_is_said_and_the_next_erase_empties_it(tmp_path: Path) -> None:
    """A backup, say: it holds up nobody who stores events, and what it keeps is not called erased."""
    path = tmp_path / "inbox.db"
    mine = [message(CUSTOMERS[0], serial) for serial in range(5)]

    async def play() -> None:
        async with opened(path, busy_timeout=0.02) as inbox:
            await inbox.put(mine)
            await work(inbox, Random(1))
            numbers = await numbers_of(inbox, CUSTOMERS[0])
            with outside(path) as reader:
                reader.execute("BEGIN")
                assert reader.execute("SELECT count(*) FROM events").fetchone() == (5,)
                with pytest.raises(InboxUnavailable, match="erase once more") as raised:
                    await inbox.erase(numbers)
                assert raised.value.reason == "locked"
                assert await inbox.put([message(CUSTOMERS[1], 7)]) == [Receipt.FRESH]
                assert await numbers_of(inbox, CUSTOMERS[0]) == []
                assert traces(path, mine)
        async with opened(path) as inbox:
            assert await inbox.erase([]) == 0
            assert traces(path, mine) == []

    asyncio.run(play())


def test_without_room_to_build_the_file_anew_the_next_erase_does(tmp_path: Path) -> None:
    path = tmp_path / "inbox.db"
    mine, other = [message(CUSTOMERS[0], serial, 20_000) for serial in range(20)], message(CUSTOMERS[1], 99)

    async def play() -> None:
        async with opened(path) as inbox:
            await inbox.put([*mine, other])
            await work(inbox, Random(1))
        async with opened(path) as inbox:
            numbers = await numbers_of(inbox, CUSTOMERS[0])
            with no_room(path), pytest.raises(InboxUnavailable):
                await inbox.erase(numbers)
            assert await inbox.put([message(CUSTOMERS[1], 100)]) == [Receipt.FRESH]
            await inbox.erase(numbers)
            assert traces(path, mine) == []
            assert await inbox.known([mine[0].dedupe_key]) != [None]

    asyncio.run(play())
    assert len(stored_ids(path)) == 22


def test_an_erase_that_was_killed_is_finished_by_the_next(tmp_path: Path) -> None:
    """Between its commit, which another process sees, and the file built anew."""
    path = tmp_path / "inbox.db"
    mine = [message(CUSTOMERS[0], serial, 100) for serial in range(20)]
    others = [message(CUSTOMERS[1], serial, 1_000_000) for serial in range(100, 160)]

    async def fill() -> None:
        async with opened(path) as inbox:
            await inbox.put([*mine, *others])
            await work(inbox, Random(1))

    asyncio.run(fill())
    command = ["inbox", "erase", "--customer", CUSTOMERS[0], "--yes", "--inbox", f"sqlite:///{path}"]
    with outside(path) as looking:
        process = subprocess.Popen([sys.executable, "-m", "kirimhook", *command])
        while not looking.execute("SELECT 1 FROM control WHERE name = 'erasing'").fetchall():
            assert process.poll() is None
        process.kill()
        assert process.wait(30) == -signal.SIGKILL
        assert traces(path, mine)
    assert subprocess.run([sys.executable, "-m", "kirimhook", *command], check=False, timeout=60).returncode == 0
    assert traces(path, mine) == []
    assert stored_ids(path).count("") == 20


def test_nothing_is_lost_while_the_file_is_built_anew(tmp_path: Path) -> None:
    path = tmp_path / "inbox.db"
    mine = [message(CUSTOMERS[0], serial, 20_000) for serial in range(500)]

    async def play() -> None:
        async with opened(path, Clock(time.time())) as inbox, opened(path, Clock(time.time())) as other:
            await inbox.put(mine)
            await work(inbox, Random(1))
            numbers = await numbers_of(inbox, CUSTOMERS[0])
            erasing = asyncio.create_task(other.erase(numbers))
            receipts, serial = [], 1_000
            while not erasing.done():
                serial += 1
                receipts += await inbox.put([message(CUSTOMERS[1], serial)])
            assert await erasing == 500
            assert set(receipts) == {Receipt.FRESH}
            assert await inbox.count(Filter(states=frozenset({EventState.WAITING}))) == len(receipts)

    asyncio.run(play())
    assert len(stored_ids(path)) > 500
    assert traces(path, mine) == []


def test_an_erase_of_nothing_leaves_the_file_as_it_is(tmp_path: Path) -> None:
    """To build it anew takes time."""
    path = tmp_path / "inbox.db"

    async def play() -> None:
        async with opened(path) as inbox:
            await inbox.put([message(CUSTOMERS[0], 1)])
            (stored,) = await inbox.read(0, 10)
            before = contents(path)
            assert await inbox.erase([]) == 0
            assert await inbox.erase([stored.number, stored.number + 1]) == 0
            assert contents(path) == before

    asyncio.run(play())
