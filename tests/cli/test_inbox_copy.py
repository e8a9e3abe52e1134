"""What `kirimhook inbox copy` moves arrives as it stands, once, and is not handled again; broken off, it goes on."""

from __future__ import annotations

import asyncio
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from kirimhook import Event, Hooks, Keyring, Park, Receiver, Retry
from kirimhook.backends import migrate_inbox
from kirimhook.cli.copying import Course, copy
from kirimhook.cli.failure import Failure
from kirimhook.contract import samples
from kirimhook.contract.events import dedupe_key
from kirimhook.contract.samples import Sample
from kirimhook.receiver.inbox import Filter, Inbox
from kirimhook.receiver.model import (
    FINISHED,
    Done,
    EventState,
    InboundEvent,
    Outcome,
    Parked,
    Receipt,
    RetryAt,
    Settlement,
    Skipped,
    StoredEvent,
    Unhandled,
)
from kirimhook.testing.requests import TEST_SECRET, signed_request
from tests.cli.commands import kirimhook
from tests.cli.inboxes import KINDS, Places, within

WAYS = [("sqlite", "sqlite"), ("sqlite", "postgresql"), ("postgresql", "nats"), ("nats", "sqlite")]
NOW = int(time.time() * 1000)
SOON = 60.0


def event(name: str, key: str | None = None, body: bytes = b"{\xff") -> InboundEvent:
    return InboundEvent(
        dedupe_key("kirim", name, "a.b", body), name, "a.b", "kirim", key, True, None, f"wbd_{name}", NOW, body
    )


ENDS: dict[str, Outcome] = {
    "done": Done(),
    "parked": Parked("Traceback …\nValueError: no"),
    "unhandled": Unhandled(),
    "skipped": Skipped(),
    "retry": RetryAt(NOW + 3_600_000, "not yet"),
}
EVENTS = [*map(event, ENDS), event("running"), event("first", "k"), event("second", "k")]


async def fill(inbox: Inbox) -> None:
    """One in each state, one more that is due in an hour, and one behind another of its customer."""
    await inbox.put(EVENTS[:6])
    for lease in await inbox.lease(10, 3600):
        (only,) = lease.run
        if only.event.event_id in ENDS:
            await inbox.settle([Settlement(lease.token, only.number, ENDS[only.event.event_id])])
    await inbox.put(EVENTS[6:])


async def everything(inbox: Inbox) -> list[StoredEvent]:
    found: list[StoredEvent] = []
    while page := await inbox.read(found[-1].number if found else 0, 3):
        found += page
    return found


def states(stored: Sequence[StoredEvent]) -> dict[str, EventState]:
    return {one.event.event_id: one.state for one in stored}


@pytest.mark.parametrize(("source", "target"), WAYS)
def test_all_arrives_as_it_stands_and_once(source: str, target: str, places: Places, tmp_path: Path) -> None:
    there, here = places.made(source, tmp_path), places.made(target, tmp_path)
    within(there, fill)
    ran = kirimhook("inbox", "copy", there, here, "--json")
    assert ran.code == 0, ran.errors
    counts = {"waiting": 3, "running": 1, "done": 1, "parked": 1, "unhandled": 1, "skipped": 1}
    assert (ran.data["read"], ran.data["copied"], ran.data["known"], ran.data["states"]) == (8, 8, 0, counts)
    assert "1 events were leased in" in ran.errors

    before, after = within(there, everything), within(here, everything)
    assert [one.event for one in after] == [one.event for one in before] == EVENTS
    assert states(after) == states(before) | {"running": EventState.WAITING}
    told = {one.event.event_id: (one.attempts, one.reason) for one in after if one.state is not EventState.DONE}
    assert told["parked"] == (1, "Traceback …\nValueError: no")
    assert told["retry"] == (1, "not yet")
    due = {one.event.event_id: one.due_at for one in after}
    assert due["retry"] == NOW + 3_600_000
    assert due["second"] is None

    again = kirimhook("inbox", "copy", there, here)
    assert (again.code, again.out.partition(" (")[0]) == (0, "0 copied, 8 were there already")
    assert within(here, everything) == after
    receipts = within(here, lambda inbox: inbox.put(EVENTS))
    assert Counter(receipts) == {Receipt.DUPLICATE: 7, Receipt.DUPLICATE_PARKED: 1}
    leased = within(here, lambda inbox: inbox.lease(10, 60))
    assert sorted([one.event.event_id for one in lease.run] for lease in leased) == [["first", "second"], ["running"]]


def sample(name: str, serial: int) -> Sample:
    return samples.load(name).renewed(event_id=f"evt_{serial}", customer=f"6281{serial}", timestamp=NOW // 1000)


SENT = [sample("contact.created", serial) for serial in range(4)]
LAST = sample("contact.updated", 9)


async def receive(inbox: Inbox, sent: Sequence[Sample]) -> tuple[list[str], list[str]]:
    """Post them to a receiver that works, until nothing is due: its answers, and what its handlers saw."""
    hooks, seen = Hooks(), list[str]()

    @hooks.on("*")
    async def handle(event: Event) -> Retry | Park | None:
        seen.append(event.id)
        return Park("asked to") if event.id == "evt_1" else Retry(after=3600) if event.id == "evt_2" else None

    answers = []
    async with Receiver(inbox, Keyring.static(TEST_SECRET), hooks=hooks) as receiver:
        for each in sent:
            request = signed_request(each)
            answers.append((await receiver.receive("POST", request.raw_headers, request.body)).body.decode())
        async with asyncio.timeout(SOON):
            while not all(one.state in FINISHED or one.attempts for one in await everything(inbox)):  # noqa: ASYNC110  # of another process
                await asyncio.sleep(0.02)  # the worker tells nobody
    return answers, seen


@pytest.mark.parametrize(("source", "target"), WAYS)
def test_what_comes_again_after_the_move_is_a_duplicate_and_not_handled(
    source: str, target: str, places: Places, tmp_path: Path
) -> None:
    """Handled, parked and waiting for its retry; then one that is new shows that the handlers are at work."""
    there, here = places.made(source, tmp_path), places.made(target, tmp_path)
    answers, seen = within(there, lambda inbox: receive(inbox, SENT))
    assert (answers, sorted(seen)) == (["ok"] * 4, ["evt_0", "evt_1", "evt_2", "evt_3"])
    assert kirimhook("inbox", "copy", there, here).code == 0
    answers, seen = within(here, lambda inbox: receive(inbox, [*SENT, LAST]))
    assert (answers, seen) == (["duplicate-ack"] * 4 + ["ok"], ["evt_9"])


MANY = 10_000


async def fill_many(inbox: Inbox) -> None:
    for start in range(0, MANY, 1000):
        await inbox.put([event(f"e{number}") for number in range(start, start + 1000)])


async def interrupted(inbox: Inbox, there: str, here: str) -> subprocess.Popen[str]:
    """A copy that was asked to end when more than a page had come. `inbox` is open before it begins: it is quick."""
    command = [sys.executable, "-m", "kirimhook", "inbox", "copy", there, here]
    copying = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)  # noqa: ASYNC220  # it only starts
    async with asyncio.timeout(SOON):
        while not await inbox.read(1000, 1):  # noqa: ASYNC110  # another process copies
            await asyncio.sleep(0.005)
    copying.send_signal(signal.SIGINT)
    return copying


@pytest.mark.parametrize("target", KINDS)
def test_interrupted_it_says_how_to_go_on_and_goes_on(target: str, places: Places, tmp_path: Path) -> None:
    there, here = places.made("sqlite", tmp_path), places.made(target, tmp_path)
    within(there, fill_many)
    copying = within(here, lambda inbox: interrupted(inbox, there, here))
    _, said = copying.communicate(timeout=SOON)
    assert copying.returncode == 130, said
    found = re.search(r"interrupted: (\d+) events are over there: go on with --after (\d+)\n", said)
    assert found is not None, said
    assert found[1] == found[2]
    after = int(found[2])
    assert 0 < after < MANY
    rest = kirimhook("inbox", "copy", there, here, "--after", str(after), "--json").data
    assert rest["read"] == MANY - after
    assert rest["known"] <= 500  # a page may have arrived when it was interrupted
    assert within(here, lambda inbox: inbox.count(Filter())) == MANY


def test_on_a_terminal_it_shows_how_far_it_is(tmp_path: Path) -> None:
    there, here = (f"sqlite:///{tmp_path / name}.db" for name in ("there", "here"))
    migrate_inbox(here)
    within(there, fill)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "kirimhook", "inbox", "copy", there, here]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=theirs, timeout=SOON, text=True, check=True)
    os.close(theirs)
    said = os.read(ours, 65_536).decode()
    os.close(ours)
    assert "8/8" in said
    assert "/s" in said
    assert done.stdout.startswith("8 copied, 0 were there already (3 waiting, 1 running, 1 done, 1 parked")


def test_an_outage_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The target's file is taken away after the first page."""
    there, here = (f"sqlite:///{tmp_path / name}.db" for name in ("there", "here"))
    migrate_inbox(here)
    within(there, fill)
    monkeypatch.setattr("kirimhook.cli.copying.PAGE", 3)

    def take_away(course: Course) -> None:
        if course.read == 3:
            (tmp_path / "here.db").unlink()
            (tmp_path / "here.db").mkdir()

    with pytest.raises(Failure, match=r"here.db cannot be used: .*; 3 events are over there: go on with --after 3$"):
        copy(there, here, Course(0), take_away)


@pytest.mark.parametrize(
    ("source", "target", "code", "message"),
    [
        ("sqlite:///{folder}/full.db", "sqlite:///{folder}/../{name}/full.db?dedupe_days=40", 2, "nothing to copy"),
        ("postgresql://u:h0rse@db/x?schema=a", "postgresql://v@db/x?dedupe_days=9&schema=a", 2, "nothing to copy"),
        ("sqlite:///{folder}/none.db", "sqlite:///{folder}/full.db", 1, "there is no inbox"),
        ("sqlite:///{folder}/full.db", "sqlite:///{folder}/none.db", 1, "there is no inbox"),
        ("sqlite:///{folder}/full.db", "redis://u:h0rse@x", 2, "the scheme must be"),
        ("sqlite:///{folder}/full.db", "sqlite:///:memory:", 2, "in memory"),
    ],
)
def test_what_cannot_be_copied_is_one_line(source: str, target: str, code: int, message: str, tmp_path: Path) -> None:
    within(f"sqlite:///{tmp_path / 'full.db'}", fill)
    urls = [url.format(folder=tmp_path, name=tmp_path.name) for url in (source, target)]
    ran = kirimhook("inbox", "copy", *urls)
    assert (ran.code, ran.out) == (code, ""), ran.errors
    assert message in ran.errors
    assert ran.errors.count("\n") == 1
    assert "h0rse" not in ran.errors
    assert not (tmp_path / "none.db").exists()


@pytest.mark.parametrize("kind", ["postgresql", "nats"])
def test_an_inbox_that_is_not_migrated_takes_nothing(kind: str, places: Places, tmp_path: Path) -> None:
    there = f"sqlite:///{tmp_path / 'full.db'}"
    within(there, fill)
    ran = kirimhook("inbox", "copy", there, places.url(kind, tmp_path))
    assert (ran.code, ran.out) == (1, "")
    assert "is not migrated: run kirimhook migrate --inbox " in ran.errors


def test_a_paused_inbox_is_said(tmp_path: Path) -> None:
    there, here = (f"sqlite:///{tmp_path / name}.db" for name in ("there", "here"))
    migrate_inbox(here)
    within(there, lambda inbox: inbox.pause())
    ran = kirimhook("inbox", "copy", there, here)
    assert (ran.code, ran.out) == (0, "0 copied, 0 were there already\n")
    assert ran.errors.endswith("is paused, and a pause is not copied\n")
