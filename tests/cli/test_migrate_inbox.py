"""`kirimhook migrate --inbox` makes what an inbox needs, once, and says so; one thing at a time is migrated."""

from __future__ import annotations

from pathlib import Path

import pytest

from kirimhook.backends import needed
from tests.cli.commands import kirimhook


def test_a_file_is_made_once_and_said(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'inbox.db'}"
    made = kirimhook("migrate", "--inbox", url, "--json")
    assert made.data == {"applied": made.errors.splitlines(), "revision": needed(url)}
    again = kirimhook("migrate", "--inbox", url)
    assert (again.code, again.errors) == (0, "")
    assert again.out == f"the inbox is at revision {needed(url)}, as it was before\n"
    assert kirimhook("inbox", "stats", "--inbox", url).code == 0


def test_the_command_line_wins_over_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inbox, database = (f"sqlite:///{tmp_path / name}" for name in ("inbox.db", "sender.db"))
    monkeypatch.setenv("KIRIMHOOK_INBOX", inbox)
    assert kirimhook("migrate").out == f"the inbox is at revision {needed(inbox)}\n"
    assert "the database is at revision" in kirimhook("migrate", "--database", database).out
    monkeypatch.setenv("KIRIMHOOK_DATABASE", database)
    both = kirimhook("migrate")
    assert (both.code, both.out) == (2, "")
    assert "one at a time" in both.errors


def test_one_thing_is_named() -> None:
    none = kirimhook("migrate")
    assert (none.code, none.errors) == (2, "kirimhook: name what to migrate: --inbox URL or --database URL\n")
    two = kirimhook("migrate", "--inbox", "sqlite:///a.db", "--database", "sqlite:///b.db")
    assert (two.code, "one at a time" in two.errors) == (2, True)


@pytest.mark.parametrize(
    ("url", "code", "message"),
    [
        ("mysql://u:h0rse@x/y", 2, "--inbox: inbox URL 'mysql://u:***@x/y': the scheme must be"),
        ("sqlite:///:memory:", 2, "--inbox: an inbox in memory"),
        ("sqlite:///{folder}", 1, "cannot be migrated: "),
        ("postgresql://u:h0rse@/none?host={folder}", 1, "cannot be migrated: "),
    ],
)
def test_what_it_cannot_do_is_one_line_without_a_password(url: str, code: int, message: str, tmp_path: Path) -> None:
    ran = kirimhook("migrate", "--inbox", url.format(folder=tmp_path))
    assert (ran.code, ran.out) == (code, ""), ran.errors
    assert message in ran.errors
    assert ran.errors.count("\n") == 1
    assert "h0rse" not in ran.errors
