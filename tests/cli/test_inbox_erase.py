"""`kirimhook inbox erase` finds all that one customer's events say, in every kind of inbox, and nobody else's; it says
what it did and what it left, and asks before."""

from __future__ import annotations

import asyncio
import base64
import json
import signal
import time
from pathlib import Path

import pytest

from kirimhook.contract.events import MESSAGE_RECEIVED, MESSAGE_STATUS, dedupe_key, read
from kirimhook.receiver.inbox import Inbox
from kirimhook.receiver.model import Done, InboundEvent, Outcome, Parked, Receipt, StoredEvent
from kirimhook.testing.conformance.bench import settlements
from tests.backends.inboxes import outside
from tests.cli.commands import kirimhook
from tests.cli.inboxes import KINDS, Places, within
from tests.cli.terminal import on_a_terminal

CUSTOMER, OTHER, BUSINESS = "6281234567890", "6289876543210", "6221000111"
WRITTEN = "+62 812-3456-7890"
ERASE = ("inbox", "erase", "--customer", WRITTEN)
MOST = 100


def wamid(customer: str, serial: int) -> str:
    held = b"\x1d\x0c" + customer.encode() + f"\x15\x02{serial:016x}".encode()
    return "wamid." + base64.b64encode(held).decode()


def meta(field: str, **item: object) -> bytes:
    value = {"metadata": {"display_phone_number": BUSINESS, "phone_number_id": "1"}, field: [item]}
    return json.dumps({"object": "whatsapp_business_account", "entry": [{"changes": [{"value": value}]}]}).encode()


def event(event_id: str, kind: str, source: str, body: bytes) -> InboundEvent:
    key = dedupe_key(source, event_id, kind, body)
    now = int(time.time() * 1000)
    return InboundEvent(key, event_id, kind, source, read(body).ordering_key, True, None, "wbd_1", now, body)


def message(customer: str, serial: int) -> InboundEvent:
    event_id = wamid(customer, serial)
    said = {"body": f"call {OTHER} please"}
    return event(event_id, MESSAGE_RECEIVED, "meta", meta("messages", id=event_id, text=said, **{"from": customer}))


def status(customer: str, serial: int) -> InboundEvent:
    event_id = wamid(customer, serial)
    body = meta("statuses", id=event_id, status="read", recipient_id=customer)
    return event(event_id, MESSAGE_STATUS, "meta", body)


def contact(number: str, serial: int) -> InboundEvent:
    data = {"contact": {"id": f"c{serial}", "phone_number": number, "whatsapp_account": {"phone_number": BUSINESS}}}
    body = json.dumps({"id": f"evt_{serial}", "type": "contact.created", "data": data}).encode()
    return event(f"evt_{serial}", "contact.created", "kirim", body)


MINE = [message(CUSTOMER, 1), status(CUSTOMER, 1), contact(WRITTEN, 2)]
THEIRS = [message(OTHER, 3), status(OTHER, 3), contact(f"+{OTHER}", 4)]
LATER = message(CUSTOMER, 5)


async def fill(inbox: Inbox) -> None:
    """Three of each customer are finished, one of them parked, and one more of the first waits."""
    await inbox.put([*THEIRS, *MINE])
    await handle(inbox)
    await inbox.put([LATER])


async def handle(inbox: Inbox) -> None:
    while leases := await inbox.lease(MOST, 60):
        for lease in leases:
            ends = (outcome(one.event) for one in lease.run)
            assert all(await inbox.settle(settlements(lease, *ends)))


def outcome(event: InboundEvent) -> Outcome:
    return Parked(f"ValueError: {event.body!r}") if event.type == MESSAGE_STATUS else Done()


async def stored(inbox: Inbox) -> list[StoredEvent]:
    return await inbox.read(0, MOST)


def of(events: list[StoredEvent], *which: InboundEvent) -> list[StoredEvent]:
    keys = {one.dedupe_key for one in which}
    return [one for one in events if one.event.dedupe_key in keys]


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    made = places.made(request.param, tmp_path)
    within(made, fill)
    monkeypatch.setenv("KIRIMHOOK_INBOX", made)
    return made


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    within(f"sqlite:///{tmp_path}/inbox.db", fill)
    monkeypatch.setenv("KIRIMHOOK_INBOX", f"sqlite:///{tmp_path}/inbox.db")
    return tmp_path / "inbox.db"


def is_in(text: str, file: Path) -> bool:
    return any(text.encode() in path.read_bytes() for path in file.parent.glob("inbox.db*"))


def test_one_customer_is_erased_and_nobody_else(url: str) -> None:
    before = within(url, stored)
    ran = kirimhook(*ERASE, "--yes", "--json")
    assert (ran.code, ran.data) == (
        1,
        {"customer": "…890", "dry_run": False, "scanned": 7, "found": 4, "erased": 3, "open": 1},
    )
    assert ("docs/operating.md" in ran.errors) == url.startswith("postgresql")
    after = within(url, stored)
    assert of(after, *THEIRS, LATER) == of(before, *THEIRS, LATER)
    for was, now in zip(of(before, *MINE), of(after, *MINE), strict=True):
        assert (now.number, now.state, now.event.type) == (was.number, was.state, was.event.type)
        assert (now.event.event_id, now.event.ordering_key, now.event.body, now.reason) == ("", None, b"", None)
    shown = kirimhook("inbox", "show", str(of(after, MINE[0])[0].number), "--json")
    assert CUSTOMER not in shown.out
    assert within(url, lambda inbox: inbox.put([*MINE, *THEIRS])) == [
        *[Receipt.DUPLICATE, Receipt.DUPLICATE_PARKED, Receipt.DUPLICATE] * 2
    ]


def test_what_was_not_finished_is_erased_when_it_is(url: str) -> None:
    assert kirimhook(*ERASE, "--yes", "--json").code == 1
    again = kirimhook(*ERASE, "--yes")
    assert (again.code, again.out) == (1, "7 events read, 1 about …890: 0 erased\n")
    assert "1 are not finished and were left: run it again when they are\n" in again.errors
    within(url, handle)
    ran = kirimhook(*ERASE, "--yes")
    assert (ran.code, ran.out) == (0, "7 events read, 1 about …890: 1 erased\n")
    assert kirimhook(*ERASE, "--yes", "--json").data["found"] == 0


def test_a_dry_run_changes_nothing(url: str) -> None:
    before = within(url, stored)
    ran = kirimhook(*ERASE, "--dry-run", "--json")
    assert ran.code == 0
    assert ran.data == {"customer": "…890", "dry_run": True, "scanned": 7, "found": 4, "erased": 0, "open": 1}
    assert kirimhook(*ERASE, "--dry-run").out == "7 events read, 4 about …890: 3 would be erased\n"
    assert within(url, stored) == before


@pytest.mark.usefixtures("file")
@pytest.mark.parametrize("number", [BUSINESS, "+1 555 0100 999"])
def test_who_has_no_event_has_none_erased(number: str) -> None:
    """Nor has the business, whose number is in all of them."""
    ran = kirimhook("inbox", "erase", "--customer", number, "--yes", "--json")
    counts = {"scanned": 7, "found": 0, "erased": 0, "open": 0}
    assert (ran.code, ran.data) == (0, {"customer": f"…{number[-3:]}", "dry_run": False, **counts})


@pytest.mark.parametrize("number", ["", "customer", "081234567890", "12345", "+62812345678901234"])
def test_what_is_no_number_is_refused(number: str, file: Path) -> None:
    ran = kirimhook("inbox", "erase", "--customer", number, "--yes")
    assert (ran.code, ran.out) == (2, "")
    assert ran.errors.startswith("kirimhook: --customer: a phone number ")
    assert is_in(CUSTOMER, file)


def test_off_a_terminal_it_wants_to_be_told(file: Path) -> None:
    ran = kirimhook(*ERASE)
    assert (ran.code, ran.out) == (2, "")
    assert ran.errors.endswith("gone for good: say --yes, or --dry-run to count alone\n")
    assert is_in(MINE[0].event_id, file)


def test_the_file_of_an_inbox_has_nothing_of_the_customer(file: Path) -> None:
    """While its receiver has it open."""
    assert is_in(CUSTOMER, file)

    async def receive(inbox: Inbox) -> None:
        await handle(inbox)
        ran = await asyncio.to_thread(kirimhook, *ERASE, "--yes")
        assert (ran.code, ran.out) == (0, "7 events read, 4 about …890: 4 erased\n")
        assert not any(is_in(text, file) for text in [CUSTOMER, *(one.event_id[:40] for one in MINE[:2])])
        assert is_in(OTHER, file)
        assert await inbox.put([LATER]) == [Receipt.DUPLICATE]

    within(f"sqlite:///{file}", receive)


def test_a_log_that_somebody_reads_is_said_and_the_next_run_finishes(file: Path) -> None:
    within(f"sqlite:///{file}", handle)
    with outside(file) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM events").fetchone() == (7,)
        ran = kirimhook(*ERASE, "--yes")
        assert (ran.code, ran.out) == (1, "")
        assert "erase once more" in ran.errors
        assert is_in(CUSTOMER, file)
    assert kirimhook(*ERASE, "--yes").out == "7 events read, 0 about …890: 0 erased\n"
    assert not is_in(CUSTOMER, file)


def answered(answer: bytes | signal.Signals, file: Path) -> tuple[int, str]:
    """Exit code, and all that was written on the terminal."""
    return on_a_terminal(ERASE, answer, file.parent)


def test_on_a_terminal_it_asks_and_takes_no_for_an_answer(file: Path) -> None:
    code, said = answered(b"n\n", file)
    assert code == 1
    assert "Erase 3 events of …890 for good?" in said
    assert "kirimhook: nothing was erased" in said
    assert is_in(MINE[0].event_id, file)


def test_on_a_terminal_yes_is_yes(file: Path) -> None:
    code, said = answered(b"y\n", file)
    assert code == 1
    assert "7 events read, 4 about …890: 3 erased\n1 are not finished" in said
    assert not is_in(MINE[0].event_id, file)


def test_ctrl_c_at_the_question_changes_nothing(file: Path) -> None:
    code, _ = answered(signal.SIGINT, file)
    assert code == 130
    assert is_in(MINE[0].event_id, file)
