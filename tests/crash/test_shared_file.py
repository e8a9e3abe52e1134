"""Two receivers and two workers, each a process of its own, on one SQLite file under load (G1, G3, G4, G5).

Fifty customers; the sender sends the next event of one after the 200 of the one before, to either receiver, and often
a duplicate to the other at the same moment. Nothing is lost, nothing completed twice, and the events of one key are
handled one at a time in the order in which they were sent, whichever receiver took them and whichever worker had them.
"""

from __future__ import annotations

import asyncio
import json
import random
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

import pytest

from kirimhook.contract.samples import Sample
from kirimhook.testing.served import Served
from tests.crash import journal, ledger
from tests.crash.processes import Processes
from tests.crash.sender import Sender, contact, message
from tests.crash.waiting import soon

CUSTOMERS, EVENTS = 50, 60
DUPLICATED = 0.3


def events_of(customer: int) -> list[Sample]:
    """Half of the customers write messages (handled in a transaction), half have their contact updated (async)."""
    make = message if customer % 2 else contact
    return [make(f"shared-{customer}-{serial:03d}", customer) for serial in range(EVENTS)]


async def send_in_turn(sender: Sender, urls: Sequence[str], some: Sequence[Sample], draw: random.Random) -> None:
    for sample in some:
        first, second = draw.sample(urls, 2)
        posts = [sender.until_acked(first, sample)]
        if draw.random() < DUPLICATED:
            posts.append(sender.until_acked(second, sample))
        await asyncio.gather(*posts)


async def send_all(sender: Sender, urls: Sequence[str], draw: random.Random) -> None:
    async with asyncio.TaskGroup() as tasks:
        for customer in range(CUSTOMERS):
            tasks.create_task(send_in_turn(sender, urls, events_of(customer), draw))


def orders(processes: Processes) -> dict[str, list[str]]:
    """Event ids by ordering key, in the order in which their handlers left their traces."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for key, event_id in ledger.rows(processes.database, "SELECT key, event_id FROM effects ORDER BY seq"):
        found[key].append(event_id)
    for entry in journal.read(processes.journal):
        if entry.word == journal.END:
            found[entry.key].append(entry.event_id)
    return dict(found)


def counted(served: Served, counter: str) -> int:
    with urllib.request.urlopen(f"{served.started()['admin_url']}/status", timeout=10) as response:
        return sum(json.load(response)["counters"][counter].values())


def test_nothing_is_lost_doubled_or_overtaken(processes: Processes, say: Callable[[str], None]) -> None:
    receivers = [processes.serve("--no-worker") for _ in range(2)]
    workers = [processes.work() for _ in range(2)]
    urls = [str(receiver.started()["url"]) for receiver in receivers]

    async def play() -> Sender:
        async with Sender(in_flight=64) as sender:
            await send_all(sender, urls, random.Random(1))
            await soon(lambda: ledger.unfinished(processes.database) == 0, "the end of all work")
        return sender

    sender = asyncio.run(play())
    shares = [counted(each, "kirimhook_requests_total") for each in receivers]
    shares += [counted(each, "kirimhook_handled_total") for each in workers]
    p50, p99 = sender.percentile(0.5), sender.percentile(0.99)
    say(
        f"two receivers, two workers, one file: {len(sender.acked)} events, {sender.posts} requests, "
        f"{sender.duplicates} duplicates; acks p50 {p50:.1f} ms, p99 {p99:.1f} ms"
    )
    assert all(shares), "each of the four had its share"
    assert [process.terminate() for process in (*receivers, *workers)] == [0] * 4

    sent = [[sample.event_id for sample in events_of(customer)] for customer in range(CUSTOMERS)]
    ids = Counter(event_id for some in sent for event_id in some)
    assert sender.answers == {(200, "ok"): len(ids), (200, "duplicate-ack"): sender.posts - len(ids)}
    assert sender.duplicates > len(ids) * DUPLICATED / 2
    found = ledger.read(processes.database)
    assert found.integrity == "ok"
    assert found.stored == found.done == ids
    assert sorted(orders(processes).values()) == sorted(sent)
    assert journal.out_of_turn(journal.read(processes.journal)) == []


BEGAN, ENDED = (journal.Entry(word, 1, "one", "key") for word in (journal.BEGIN, journal.END))
NEXT_BEGAN, NEXT_ENDED = (entry._replace(number=2, event_id="two") for entry in (BEGAN, ENDED))
WRONG = {
    "an overlap": [BEGAN, NEXT_BEGAN, ENDED, NEXT_ENDED],
    "an overtaking": [NEXT_BEGAN, NEXT_ENDED, BEGAN, ENDED],
    "a second begin": [BEGAN, BEGAN, ENDED],
}


def test_the_journal_tells_turns_from_others() -> None:
    elsewhere = [entry._replace(key="another") for entry in (BEGAN, ENDED)]
    assert journal.out_of_turn([BEGAN, elsewhere[0], ENDED, NEXT_BEGAN, NEXT_ENDED, elsewhere[1]]) == []


@pytest.mark.parametrize("what", WRONG)
def test_the_journal_finds(what: str) -> None:
    assert journal.out_of_turn(WRONG[what])
