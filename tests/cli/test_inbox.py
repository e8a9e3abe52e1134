"""An operator lists, shows, counts, puts back, pauses, resumes and purges what a real inbox file holds; what is not
there is said, and never made; every command that prints data prints it as JSON too.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from kirimhook.backends import open_inbox
from kirimhook.contract.events import dedupe_key
from kirimhook.receiver.inbox import Filter, Inbox
from kirimhook.receiver.model import Done, EventState, InboundEvent, Outcome, Parked, Settlement, Unhandled
from tests.cli.commands import Ran, kirimhook

BODY = b'{"id":"\xff not even UTF-8"'
TYPES = ("message.received", "message.status", "contact.created", "contact.updated")


def event(serial: int, kind: str, received_at: int) -> InboundEvent:
    key = dedupe_key("kirim", f"evt_{serial}", kind, BODY)
    return InboundEvent(key, f"evt_{serial}", kind, "kirim", None, True, None, f"wbd_{serial}", received_at, BODY)


async def fill(inbox: Inbox) -> None:
    """1 done (message.received), 2 parked (message.status, contact.created), 1 unhandled, 1 waiting."""
    now = int(time.time() * 1000)
    await inbox.put([event(n, kind, now - (10 - n) * 3_600_000) for n, kind in enumerate(TYPES, 1)])
    outcomes: list[Outcome] = [Done(), Parked("Traceback …\nValueError: no"), Parked("asked to"), Unhandled()]
    leases = sorted(await inbox.lease(10, 60), key=lambda lease: lease.run[0].number)
    await inbox.settle(
        [Settlement(lease.token, lease.run[0].number, end) for lease, end in zip(leases, outcomes, strict=True)]
    )
    await inbox.put([event(5, "contact.created", now)])


def with_inbox(path: Path, work: Callable[[Inbox], Coroutine[Any, Any, Any]]) -> Any:
    async def main() -> Any:
        inbox = open_inbox(f"sqlite:///{path}")
        await inbox.open()
        try:
            return await work(inbox)
        finally:
            await inbox.close()

    return asyncio.run(main())


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "events.db"
    with_inbox(path, fill)
    monkeypatch.setenv("KIRIMHOOK_INBOX", f"sqlite:///{path}")
    return path


def numbers(*arguments: str) -> list[int]:
    ran = kirimhook("inbox", "list", "--json", *arguments)
    assert ran.code == 0, ran.errors
    return [line["number"] for line in ran.lines]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], [5, 4, 3, 2, 1]),
        (["--state", "parked"], [3, 2]),
        (["--state", "parked", "--state", "done"], [3, 2, 1]),
        (["--type", "contact.*"], [5, 4, 3]),
        (["--type", "message.status"], [2]),
        (["--event-id", "evt_3"], [3]),
        (["--number", "1", "--number", "4"], [4, 1]),
        (["--after", "7.5h"], [5, 4, 3]),
        (["--after", "8h", "--before", "6h"], [4, 3]),
        (["--before", "2001-01-01"], []),
        (["--state", "waiting", "--type", "contact.created"], [5]),
    ],
)
@pytest.mark.usefixtures("path")
def test_list_filters(arguments: list[str], expected: list[int]) -> None:
    assert numbers(*arguments) == expected


@pytest.mark.usefixtures("path")
def test_list_goes_on_from_its_cursor() -> None:
    first = kirimhook("inbox", "list", "--json", "--limit", "2")
    cursor = first.errors.removeprefix("there are more: --cursor ").strip()
    assert [line["number"] for line in first.lines] == [5, 4]
    assert numbers("--limit", "2", "--cursor", cursor) == [3, 2]
    assert kirimhook("inbox", "list", "--limit", "5").errors == ""
    wrong = kirimhook("inbox", "list", "--state", "done", "--cursor", cursor)
    assert (wrong.code, wrong.errors.startswith("kirimhook: --cursor: ")) == (2, True)


@pytest.mark.usefixtures("path")
def test_list_reads_past_the_pages_of_the_inbox(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kirimhook.cli.inbox.PAGE", 2)
    assert numbers() == [5, 4, 3, 2, 1]
    assert numbers("--limit", "3") == [5, 4, 3]


@pytest.mark.usefixtures("path")
def test_list_as_a_table_shows_the_last_line_of_a_reason() -> None:
    out = kirimhook("inbox", "list").out
    header, *rows = out.splitlines()
    assert header.split()[:3] == ["NUMBER", "STATE", "TYPE"]
    assert [row.split()[:2] for row in rows] == [
        ["5", "waiting"], ["4", "unhandled"], ["3", "parked"], ["2", "parked"], ["1", "done"]
    ]  # fmt: skip
    assert "ValueError: no" in rows[3]
    assert "Traceback" not in out


@pytest.mark.usefixtures("path")
def test_show_gives_every_field_and_the_body_only_when_asked_for_byte_for_byte() -> None:
    shown = kirimhook("inbox", "show", "2", "--json").data
    assert shown["state"] == "parked"
    assert shown["reason"] == "Traceback …\nValueError: no"
    assert shown["delivery_id"] == "wbd_2"
    assert shown["dedupe_key"] == event(2, "message.status", 0).dedupe_key.hex()
    assert shown["body_bytes"] == len(BODY)
    assert shown["finished_at"].endswith("Z")
    assert b"not even" not in kirimhook("inbox", "show", "2").raw
    assert kirimhook("inbox", "show", "2", "--body").raw == BODY


@pytest.mark.usefixtures("path")
def test_what_is_not_there_is_exit_code_1() -> None:
    ran = kirimhook("inbox", "show", "99")
    assert (ran.code, ran.out, ran.errors) == (1, "", "kirimhook: there is no event 99\n")


@pytest.mark.parametrize(
    "command", ["list", "stats", "pause", "resume", "purge", "show 1", "put-back --state parked --yes"]
)
def test_a_missing_file_is_said_and_not_made(tmp_path: Path, command: str) -> None:
    missing = tmp_path / "typing-error.db"
    ran = kirimhook("inbox", *command.split(), "--inbox", f"sqlite:///{missing}")
    assert (ran.code, ran.out) == (1, "")
    assert f"there is no inbox {missing}" in ran.errors
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_inbox_is_said(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("these are no events " * 300)
    ran = kirimhook("inbox", "stats", "--inbox", f"sqlite:///{tmp_path / 'notes.txt'}")
    assert ran.code == 1
    assert "corrupt" in ran.errors
    assert (tmp_path / "notes.txt").read_text() == "these are no events " * 300


@pytest.mark.usefixtures("path")
def test_stats_count_by_state() -> None:
    found = kirimhook("inbox", "stats", "--json").data
    expected = {"waiting": 1, "running": 0, "done": 1, "parked": 2, "unhandled": 1, "skipped": 0}
    assert found["states"] == expected
    assert found["paused"] is False
    assert 0 <= found["oldest_waiting_seconds"] < 60
    assert found["bytes"] > 4096
    rows = dict(line.rsplit(None, 1) for line in kirimhook("inbox", "stats").out.splitlines())
    assert {name: int(rows[name]) for name in expected} == expected


def test_pause_and_resume(path: Path) -> None:
    assert kirimhook("inbox", "pause", "--json").data == {"paused": True}
    assert kirimhook("inbox", "stats", "--json").data["paused"] is True
    assert with_inbox(path, lambda inbox: inbox.lease(10, 1)) == []
    assert kirimhook("inbox", "resume").out == "resumed\n"
    assert [lease.run[0].number for lease in with_inbox(path, lambda inbox: inbox.lease(10, 1))] == [5]


def put_back(*arguments: str) -> Ran:
    return kirimhook("inbox", "put-back", *arguments)


@pytest.mark.usefixtures("path")
def test_put_back_counts_and_then_does_it() -> None:
    assert put_back("--state", "parked", "--dry-run", "--json").data == {"matched": 2, "put_back": 0, "dry_run": True}
    assert numbers("--state", "parked") == [3, 2]
    ran = put_back("--state", "parked", "--type", "contact.*", "--yes", "--json")
    assert ran.data == {"matched": 1, "put_back": 1, "dry_run": False}
    assert numbers("--state", "parked") == [2]
    assert numbers("--state", "waiting") == [5, 3]
    assert put_back("--number", "1", "--number", "5", "--yes").out == "1 put back\n"  # 5 is not finished
    assert put_back("--state", "parked", "--before", "1d", "--yes").out == "0 put back\n"


@pytest.mark.usefixtures("path")
def test_put_back_off_a_terminal_needs_yes() -> None:
    ran = put_back("--state", "parked")
    assert ran.code == 2
    assert "2 events match; off a terminal this needs --yes" in ran.errors
    assert numbers("--state", "parked") == [3, 2]


@pytest.mark.parametrize(("answer", "left"), [(b"y\n", []), (b"n\n", [3, 2]), (b"\n", [3, 2])])
@pytest.mark.usefixtures("path")
def test_put_back_on_a_terminal_asks(monkeypatch: pytest.MonkeyPatch, answer: bytes, left: list[int]) -> None:
    monkeypatch.setattr("kirimhook.cli.output.is_terminal", lambda: True)
    ran = kirimhook("inbox", "put-back", "--state", "parked", stdin=answer)
    assert "Put back 2 events?" in ran.errors
    assert ran.code == (1 if left else 0)
    assert numbers("--state", "parked") == left


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name what to put back"),
        (["--type", "contact.*"], "name what to put back"),
        (["--state", "waiting"], "only parked, unhandled, skipped and done"),
        (["--state", "parked", "--after", "yesterday"], "'yesterday' is no time"),
        (["--state", "parked", "--type", "*.created"], "* stands at the end only"),
    ],
)
@pytest.mark.usefixtures("path")
def test_put_back_of_too_much_makes_no_sense(arguments: list[str], message: str) -> None:
    ran = put_back(*arguments, "--yes")
    assert (ran.code, message in ran.errors) == (2, True), ran.errors


def test_what_lost_its_body_cannot_be_put_back_or_shown(path: Path) -> None:
    ran = kirimhook("inbox", "purge", "--payload-days", "0.000000001", "--json")
    assert ran.data == {"payloads": 2, "records": 0}  # parked ones keep theirs
    assert kirimhook("inbox", "show", "1", "--json").data["body_bytes"] is None
    shown = kirimhook("inbox", "show", "1", "--body")
    assert (shown.code, shown.raw) == (1, b"")
    gone = put_back("--number", "1", "--yes")
    assert (gone.code, gone.out) == (1, "")
    assert put_back("--state", "done", "--state", "parked", "--yes").out == "2 put back; 1 have no body any more\n"
    assert with_inbox(path, lambda inbox: inbox.count(Filter(states=frozenset({EventState.DONE})))) == 1


@pytest.mark.usefixtures("path")
def test_purge_says_what_it_removed() -> None:
    assert kirimhook("inbox", "purge").out == "0 bodies and 0 records removed\n"
