"""`sender publish` posts an event through the API of a process that runs: from data, a file, stdin or a sample, byte
for byte where the sample is Meta's; what the API refuses, or nobody answers, is one line and 1.
"""

from __future__ import annotations

import json
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from kirimhook.contract import samples
from tests.cli.commands import Ran, kirimhook
from tests.serving.senders import Sending


@pytest.fixture(scope="module")
def sending(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sending]:
    with Sending(tmp_path_factory.mktemp("publish"), "--api-only") as started:
        started.subscribe("https://hooks.example.com/kirim", "contact.created", "message.received")
        yield started


def publish(sending: Sending, *arguments: str, stdin: bytes = b"") -> Ran:
    return kirimhook("sender", "publish", *arguments, "--url", sending.url, "--key", sending.key, stdin=stdin)


def stored(sending: Sending, event_id: str) -> tuple[str, str, Any]:
    """Source, type and body of an event, as the database has it."""
    with closing(sqlite3.connect(sending.database.removeprefix("sqlite:///"))) as connection:
        source, kind, body = connection.execute(
            "SELECT source, type, body FROM events WHERE event_id = ?", [event_id]
        ).fetchone()
    return source, kind, body


def test_data_on_the_command_line(sending: Sending) -> None:
    ran = publish(sending, "contact.created", "--data", '{"contact": {"name": "Ána"}}', "--id", "evt_a")
    assert (ran.code, ran.out, ran.errors) == (0, "evt_a: 1 deliveries\n", "")
    source, kind, body = stored(sending, "evt_a")
    assert (source, kind, json.loads(body)["data"]) == ("kirim", "contact.created", {"contact": {"name": "Ána"}})
    again = publish(sending, "contact.created", "--data", '{"contact": {"name": "Ána"}}', "--id", "evt_a", "--json")
    assert again.data["duplicate"] is True
    assert "known before" in publish(sending, "contact.created", "--data", "{}", "--id", "evt_a").out


def test_data_from_a_file_and_from_stdin(sending: Sending, tmp_path: Path) -> None:
    file = tmp_path / "order.json"
    file.write_text('{"from": "file"}')
    made = publish(sending, "contact.created", "--data", f"@{file}", "--json").data
    assert json.loads(stored(sending, made["id"])[2])["data"] == {"from": "file"}
    made = publish(sending, "contact.created", "--data", "-", "--json", stdin=b'{"from": "stdin"}').data
    assert json.loads(stored(sending, made["id"])[2])["data"] == {"from": "stdin"}


@pytest.mark.parametrize("name", samples.names())
def test_every_sample_is_a_new_event(sending: Sending, name: str) -> None:
    one, two = (publish(sending, "--sample", name, "--json").data for _ in range(2))
    assert one["id"] != two["id"]
    sample = samples.load(name)
    source, kind, body = stored(sending, one["id"])
    assert (source, kind) == (sample.source, sample.type)
    assert one["id"].encode() in body  # it names itself, so a receiver that checks takes it
    assert one["deliveries"] == (sample.type in {"contact.created", "message.received"})


def test_url_and_key_come_from_the_environment(sending: Sending, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIRIM_API_URL", f"{sending.url}/v1/")
    monkeypatch.setenv("KIRIM_KEY", sending.key)
    assert kirimhook("sender", "publish", "--sample", "contact.created").code == 0


def test_what_the_api_refuses_is_its_words_and_1(sending: Sending) -> None:
    ran = publish(sending, "order.created", "--data", "{}")
    assert (ran.code, ran.out) == (1, "")
    assert ran.errors.startswith("kirimhook: refused with 400 unknown_event_type")
    assert ran.errors.count("\n") == 1
    ran = kirimhook("sender", "publish", "a.b", "--data", "{}", "--url", sending.url, "--key", "kdv_live_wrong")
    assert (ran.code, "refused with 401 invalid_api_key" in ran.errors) == (1, True)


def test_somebody_else_on_that_port_is_said(sending: Sending) -> None:
    url = sending.started()["admin_url"]
    ran = kirimhook("sender", "publish", "a.b", "--data", "{}", "--url", url, "--key", "k")
    assert (ran.code, ran.errors.count("\n")) == (1, 1)
    assert "refused with 404" in ran.errors


def test_nobody_on_that_port_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port = bound.getsockname()[1]
    ran = kirimhook("sender", "publish", "a.b", "--data", "{}", "--url", f"http://127.0.0.1:{port}", "--key", "k")
    assert (ran.code, ran.errors.count("\n")) == (1, 1)
    assert f"http://127.0.0.1:{port} cannot be reached" in ran.errors
