"""A setting that cannot be kept is refused before anything is opened, and the message names it."""

from __future__ import annotations

import asyncio
import math
import os
from pathlib import Path
from typing import Any

import pytest

from kirimhook.backends import open_inbox
from kirimhook.backends.sqlite.inbox import SQLiteInbox
from kirimhook.backends.sqlite.settings import SQLiteSettings
from kirimhook.receiver.inbox import Capabilities
from tests.backends.inboxes import START, event, opened, stored_ids

REFUSED: list[tuple[str, Any]] = [
    ("dedupe_days", 6.9),
    ("dedupe_days", math.nan),
    ("dedupe_days", math.inf),
    ("dedupe_days", "32"),
    ("payload_days", 0),
    ("payload_days", 33),
    ("payload_days", math.nan),
    ("max_waiting", 0),
    ("max_waiting", True),
    ("max_waiting_bytes", -1),
    ("commit_bound", 0),
    ("busy_timeout", None),
    ("synchronous", "NORMAL"),
    ("colour", "blue"),
]
URLS = [
    ("mysql://localhost/inbox", "scheme"),
    ("inbox.db", "scheme"),
    ("sqlite:inbox.db", "sqlite:///inbox.db"),
    ("sqlite://inbox.db", "sqlite:///inbox.db"),
    ("sqlite:///", "path"),
    ("sqlite:///inbox.db?dedupe_days=3", "dedupe_days"),
    ("sqlite:///inbox.db?dedupe_days=a%20week", "dedupe_days"),
    ("sqlite:///inbox.db?max_waiting=1.5", "max_waiting"),
    ("sqlite:///inbox.db?synchronous=off", "synchronous"),
    ("sqlite:///inbox.db?colour=blue", "colour"),
    ("sqlite:///inbox.db?path=other.db", "path"),
    ("sqlite:///inbox.db?nonsense", "nonsense"),
]


@pytest.mark.parametrize(("name", "value"), REFUSED, ids=str)
def test_a_refusal_names_the_field(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=name):
        open_inbox("sqlite:///inbox.db", **{name: value})


@pytest.mark.parametrize(("url", "what"), URLS)
def test_a_refusal_says_what_is_wrong_with_the_url(url: str, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        open_inbox(url)


def test_the_least_that_is_kept_is_a_week() -> None:
    assert SQLiteSettings("inbox.db", dedupe_days=7, payload_days=7).dedupe_days == 7


def test_an_option_wins_over_the_url() -> None:
    settings = SQLiteSettings.from_url("sqlite:////var/x.db?dedupe_days=40.5&max_waiting=7", max_waiting=9)
    assert (settings.path, settings.dedupe_days, settings.max_waiting) == ("/var/x.db", 40.5, 9)
    assert settings.payload_days == 7


@pytest.mark.parametrize(
    ("url", "durable", "shared"),
    [
        ("sqlite:///x.db", True, True),
        ("sqlite:///x.db?synchronous=OFF", False, True),
        ("sqlite:///:memory:", False, False),
    ],
)
def test_only_a_synchronous_file_is_durable_and_only_a_file_is_shared(url: str, durable: bool, shared: bool) -> None:
    assert open_inbox(url).capabilities == Capabilities(transactions=True, durable=durable, shared=shared)


@pytest.mark.parametrize("name", ["plain.db", "with space.db", "100%25?.db", "#1.db", "é→.db", "a&b=c.db"])
def test_a_path_is_taken_as_it_is(tmp_path: Path, name: str) -> None:
    async def play() -> None:
        settings = SQLiteSettings(f"{tmp_path}/{name}")
        inbox = SQLiteInbox(settings, lambda: START)
        await inbox.open()
        await inbox.put([event("a")])
        assert (await inbox.stats()).oldest_waiting is not None
        await inbox.close()

    asyncio.run(play())
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, f"{name}-lock", f"{name}-turn"])
    assert stored_ids(tmp_path / name) == ["a"]


def test_a_relative_path_does_not_move_with_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)

    async def play() -> None:
        async with opened(Path("inbox.db")) as inbox:
            await inbox.put([event("a")])
            os.chdir("elsewhere")
            await inbox.put([event("b")])
            assert (await inbox.stats()).bytes > 0

    asyncio.run(play())
    assert stored_ids(tmp_path / "inbox.db") == ["a", "b"]
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_the_files_are_their_owner_s_alone(tmp_path: Path) -> None:
    path = tmp_path / "made" / "for it" / "inbox.db"

    async def play() -> dict[str, int]:
        async with opened(path) as inbox:
            await inbox.put([event("a")])
            await inbox.stats()
            return {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}

    modes = asyncio.run(play())
    assert set(modes) == {"inbox.db", "inbox.db-wal", "inbox.db-shm", "inbox.db-lock", "inbox.db-turn"}
    assert set(modes.values()) == {0o600}
    assert path.parent.stat().st_mode & 0o777 == 0o700
