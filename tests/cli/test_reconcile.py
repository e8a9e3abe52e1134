"""`kirimhook reconcile` refuses what makes no sense before it asks anybody, and says in a line what it could not do."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from kirimhook.backends import open_inbox
from kirimhook.contract import ids
from kirimhook.operating.files import STATE_VARIABLE, turn
from tests.cli.commands import kirimhook
from tests.serving.senders import Sending

NOBODY = ids.make(ids.SUBSCRIPTION, 1, bytes(10))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With an inbox, a folder for what is kept, and an API at which nobody is."""
    inbox = f"sqlite:///{tmp_path / 'inbox.db'}"
    for name, value in {
        "KIRIMHOOK_INBOX": inbox,
        "KIRIM_API_URL": "http://127.0.0.1:1",
        "KIRIM_KEY": "kdv_live_nobody",
        STATE_VARIABLE: str(tmp_path / "state"),
    }.items():
        monkeypatch.setenv(name, value)

    async def made() -> None:
        opened = open_inbox(inbox)
        await opened.open()
        await opened.close()

    asyncio.run(made())
    return tmp_path


@pytest.fixture
def sending(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sending]:
    with Sending(tmp_path, "--allow-network", "127.0.0.0/8") as sender:
        monkeypatch.setenv("KIRIM_API_URL", sender.url)
        yield sender


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "Missing argument"),
        (("wbd_1",), "'wbd_1' is no id of this kind: wbs_…"),
        ((NOBODY, "--dry-run", "--watch"), "--dry-run looks once"),
        ((NOBODY, "--budget", "5"), "--budget goes with --watch"),
        ((NOBODY, "--every", "5"), "--every goes with --watch"),
        ((NOBODY, "--notify", "mail"), "--notify goes with --watch"),
        ((NOBODY, "--watch", "--notify", "'"), "--notify: "),
        ((NOBODY, "--after", "soon"), "'soon' is no time"),
        ((NOBODY, "--horizon", "6"), "--horizon"),
        ((NOBODY, "--rate", "0"), "--rate"),
        ((NOBODY, "--admin", "localhost"), "--admin 'localhost': write http://"),
        ((NOBODY, "--inbox", "mysql://x"), "the scheme must be"),
        ((NOBODY, "--key", "not a key"), "an API key has no blanks"),
    ],
)
def test_what_makes_no_sense_is_2(words: tuple[str, ...], said: str) -> None:
    ran = kirimhook("reconcile", *words)
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.errors


def test_an_inbox_that_is_not_there_is_1(folder: Path) -> None:
    ran = kirimhook("reconcile", NOBODY, "--inbox", f"sqlite:///{folder / 'none.db'}")
    assert (ran.code, ran.errors) == (
        1,
        f"kirimhook: there is no inbox {folder / 'none.db'}: name it with --inbox, or KIRIMHOOK_INBOX\n",
    )
    assert not (folder / "none.db").exists()


def test_a_key_that_is_refused_and_a_subscription_that_is_not_there_are_1(sending: Sending) -> None:
    refused = kirimhook("reconcile", NOBODY)
    assert refused.code == 1
    assert "refused with 401 invalid_api_key" in refused.errors
    missing = kirimhook("reconcile", NOBODY, "--key", sending.key)
    assert missing.code == 1
    assert "refused with 404 resource_not_found" in missing.errors


def test_a_watch_whose_key_is_refused_ends_and_tells(sending: Sending, folder: Path) -> None:
    script, told = folder / "tell", folder / "told"
    script.write_text(f"#!/bin/sh\ncat > {told}\n")
    script.chmod(0o700)
    ran = kirimhook("reconcile", NOBODY, "--watch", "--every", "0.1", "--notify", str(script))
    assert ran.code == 1
    assert "refused with 401 invalid_api_key" in ran.errors
    assert "the watch ended" in told.read_text()


def test_one_at_a_time(folder: Path) -> None:
    state = folder / "state"
    state.mkdir()
    with turn(state / f"reconcile-{NOBODY}.lock"):
        ran = kirimhook("reconcile", NOBODY)
    assert (ran.code, ran.errors) == (1, f"kirimhook: another process reconciles {NOBODY} now\n")


def test_what_it_keeps_on_disk_and_cannot_use_is_1(folder: Path) -> None:
    state = folder / "state"
    state.mkdir()
    (state / f"reconcile-{NOBODY}.db").write_bytes(b"no database at all" * 100)
    ran = kirimhook("reconcile", NOBODY)
    assert ran.code == 1
    assert f"what reconcile keeps on disk ({state}) cannot be used: file is not a database" in ran.errors


def test_a_snapshot_that_is_none_is_1(sending: Sending, folder: Path) -> None:
    sending.subscribe("https://localhost/")
    [subscription] = sending.call("GET", "/v1/webhook_subscriptions").data
    (folder / "state").mkdir()
    (folder / "state" / f"replay-reconcile-{subscription['id']}.jsonl").write_text("nothing\n")
    ran = kirimhook("reconcile", subscription["id"], "--key", sending.key)
    assert ran.code == 1
    assert "is no snapshot of deliveries to replay" in ran.errors


def test_the_help_is_fast_and_complete() -> None:
    ran = kirimhook("reconcile", "--help")
    assert ran.code == 0
    for option in ("--dry-run", "--watch", "--budget", "--notify", "--metrics-file", "Exit codes"):
        assert option in ran.out
