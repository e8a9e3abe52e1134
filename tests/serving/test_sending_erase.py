"""`sender erase` beside a running sender: afterwards the number, and the ids made of it, are in no file of the
database; what is open is left and said; and nothing is erased without a yes.
"""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from kirimhook.client import Kirim
from kirimhook.contract import samples
from kirimhook.sender.database import rebuilding
from kirimhook.sender.sealing import Sealer
from kirimhook.testing.endpoint import Hang, Respond
from tests.cli.commands import kirimhook
from tests.cli.terminal import on_a_terminal
from tests.serving.senders import Consumer, Sending, consumer

NUMBER = "6281234509876"
OTHER = "6281234509877"
TYPES = ("message.received", "message.status", "contact.created")
MANY = 40


def event_id(customer: str, number: int) -> str:
    return "wamid." + base64.b64encode(f"\x18\x0d{customer}\x15{number}".encode()).decode()


def publish(sending: Sending, customer: str, count: int) -> list[str]:
    """Messages of this customer, as Meta sends them; their ids."""
    made = []
    with Kirim(sending.key, base_url=sending.url) as kirim:
        for number in range(count):
            sample = samples.load("message.received.text").renewed(
                customer=customer, event_id=event_id(customer, number)
            )
            kirim.events.publish_raw(sample.body, source="meta", type=sample.type, event_id=sample.event_id)
            made.append(sample.event_id)
    return made


def traces(folder: Path, *texts: str) -> dict[str, list[str]]:
    """Which files of the database hold which text, in plain."""
    files = sorted(folder.glob("*.db*"))
    assert files
    found = {path.name: [text for text in texts if text.encode() in path.read_bytes()] for path in files}
    return {name: held for name, held in found.items() if held}


@pytest.fixture
def endpoint() -> Iterator[Consumer]:
    with consumer(*[Respond(200, body=b"thanks " + NUMBER.encode())] * MANY, Respond()) as somebody:
        yield somebody


def test_afterwards_it_is_in_no_file_while_the_sender_runs(endpoint: Consumer, tmp_path: Path) -> None:
    with Sending(tmp_path, *endpoint.trusting) as sending:
        sending.subscribe(endpoint.url, *TYPES)
        mine = publish(sending, NUMBER, MANY)
        endpoint.received(MANY)
        theirs = publish(sending, OTHER, 3)
        endpoint.received(MANY + 3)
        arguments = ("sender", "erase", "--customer", f"+{NUMBER}", "--database", sending.database)
        assert kirimhook(*arguments).code == 2

        looked = kirimhook(*arguments, "--dry-run", "--json")
        assert looked.code == 0
        assert (looked.data["found"], looked.data["erased"], looked.data["scanned"]) == (MANY, 0, MANY + 3)
        assert any(NUMBER in held for held in traces(tmp_path, NUMBER).values())

        done = kirimhook(*arguments, "--yes", "--json")
        while done.data["open"]:  # answered, and not written down yet
            assert done.code == 1
            done = kirimhook(*arguments, "--yes", "--json")
        assert done.code == 0, done.errors
        assert (done.data["customer"], done.data["overwritten"]) == ("…876", True)
        assert NUMBER not in done.out + done.errors
        assert traces(tmp_path, NUMBER, *mine) == {}
        assert traces(tmp_path, *theirs) != {}

        again = publish(sending, NUMBER, 1)
        assert again == mine[:1]
        assert sorted(endpoint.ids(MANY + 3)) == sorted([*mine, *theirs])  # it came in no request once more
        assert sending.ledger()[0] == 0
        assert traces(tmp_path, NUMBER, *mine) == {}
        erased = [one for one in sending.call("GET", "/v1/webhook_deliveries?limit=100").data if not one["event_id"]]
        assert len(erased) == MANY
        refused = sending.call("POST", f"/v1/webhook_deliveries/{erased[0]['id']}/replay", {})
        assert (refused.status, refused.document["error"]["code"]) == (409, "event_erased")


def test_what_is_open_is_left_and_said(tmp_path: Path) -> None:
    with consumer(Hang()) as somebody, Sending(tmp_path, *somebody.trusting) as sending:
        sending.subscribe(somebody.url, *TYPES)
        mine = publish(sending, NUMBER, 1)
        somebody.received(1)
        ran = kirimhook("sender", "erase", "--customer", NUMBER, "--yes", "--database", sending.database)
        assert ran.code == 1
        assert "0 events erased of the customer …876, 1 looked at" in ran.out
        assert "1 events are still to be delivered, and were left" in ran.errors
        listed = sending.call("GET", "/v1/webhook_deliveries").data
        assert [one["event_id"] for one in listed] == mine


def test_on_postgresql(postgres_url: str, tmp_path: Path) -> None:
    keys = {"KIRIMHOOK_MASTER_KEYS": Sealer.new_key()}
    with (
        consumer() as somebody,
        Sending(tmp_path, *somebody.trusting, "--database", postgres_url, environment=keys) as sending,
    ):
        sending.subscribe(somebody.url, *TYPES)
        publish(sending, NUMBER, 3)
        somebody.received(3)
        arguments = ("sender", "erase", "--customer", NUMBER, "--yes", "--database", postgres_url, "--org", "acme")
        done = kirimhook(*arguments, "--json")
        total = done.data["erased"]
        while done.data["open"]:
            done = kirimhook(*arguments, "--json")
            total += done.data["erased"]
        assert (done.code, total, done.data["overwritten"]) == (0, 3, None)
        listed = sending.call("GET", "/v1/webhook_deliveries").data
        assert [one["event_id"] for one in listed] == ["", "", ""]
        whole = [sending.call("GET", f"/v1/webhook_deliveries/{one['id']}").data for one in listed]
        assert all(NUMBER not in json.dumps(one) for one in whole)
        assert sending.ledger()[0] == 0


@pytest.mark.parametrize("said", ["", "0812", "nobody", "1" * 20])
def test_what_is_no_number_is_refused(said: str) -> None:
    ran = kirimhook("sender", "erase", "--customer", said, "--yes")
    assert ran.code == 2
    assert "phone number" in ran.errors


def test_what_a_run_that_was_cut_off_left_in_the_file_is_overwritten_by_the_next(
    endpoint: Consumer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Sending(tmp_path, *endpoint.trusting) as sending:
        mine = publish(sending, NUMBER, MANY)
        arguments = ("sender", "erase", "--customer", NUMBER, "--yes", "--json", "--database", sending.database)

        def cut_off(_url: str) -> bool:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("kirimhook.sender.database.rebuilding.rebuild", cut_off)
        full = kirimhook(*arguments)
        assert full.code == 1
        assert "copies may be left in it" in full.errors
        assert "run it again" in full.errors
        assert traces(tmp_path, NUMBER, *mine) != {}
        monkeypatch.undo()
        again = kirimhook(*arguments)
        assert (again.code, again.data["found"], again.data["overwritten"]) == (0, 0, True)
        assert traces(tmp_path, NUMBER, *mine) == {}


def test_a_log_that_somebody_reads_all_the_time_is_said_and_emptied_by_the_next_run(
    endpoint: Consumer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuilding, "PATIENCE", 0.1)
    with Sending(tmp_path, *endpoint.trusting) as sending:
        (mine,) = publish(sending, NUMBER, 1)
        arguments = ("sender", "erase", "--customer", NUMBER, "--yes", "--database", sending.database)
        with closing(sqlite3.connect(sending.database.removeprefix("sqlite:///"), isolation_level=None)) as backup:
            backup.execute("BEGIN")
            backup.execute("SELECT count(*) FROM events").fetchone()
            ran = kirimhook(*arguments)
            assert ran.code == 1
            assert "the log still holds what was" in ran.errors
            assert traces(tmp_path, mine) != {}
        again = kirimhook(*arguments)
        assert (again.code, traces(tmp_path, mine)) == (0, {})


def test_on_a_terminal_it_counts_and_asks(endpoint: Consumer, tmp_path: Path) -> None:
    with Sending(tmp_path, *endpoint.trusting) as sending:
        (mine,) = publish(sending, NUMBER, 1)
        arguments = ["sender", "erase", "--customer", f"+{NUMBER}", "--database", sending.database]
        code, said = on_a_terminal(arguments, b"n\n")
        assert code == 130
        assert "Erase what 1 events hold, for good? [y/N]" in said
        assert traces(tmp_path, mine) != {}
        code, said = on_a_terminal(arguments, b"y\n")
        assert (code, traces(tmp_path, mine)) == (0, {})
        assert "1 events erased of the customer …876, 1 looked at" in said
        counted = kirimhook(*arguments, "--dry-run")
        assert (counted.code, counted.out) == (0, "0 events would be erased of the customer …876, 0 looked at\n")
