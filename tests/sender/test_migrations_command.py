"""`kirimhook migrate` says what it did, once as text and once as JSON, and what it could not do in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from kirimhook import migrations
from kirimhook.migrations.revisions import VERSION_TABLE, known
from tests.cli.commands import kirimhook
from tests.sender.databases import Databases, done

LAST = migrations.needed()


def test_it_brings_a_database_to_the_last_revision(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'sender.db'}"
    ran = kirimhook("migrate", "--database", url)
    assert (ran.code, ran.out) == (0, f"the database is at revision {LAST}\n")
    assert [line.partition(":")[0] for line in ran.errors.splitlines()] == known()
    assert migrations.behind(url) == []
    again = kirimhook("migrate", "--database", url)
    assert (again.code, again.out, again.errors) == (0, f"the database is at revision {LAST}, as it was before\n", "")


def test_as_json(empty_url: str) -> None:
    assert kirimhook("migrate", "--database", empty_url, "--json").data == {"applied": known(), "revision": LAST}
    assert kirimhook("migrate", "--database", empty_url, "--json").data == {"applied": [], "revision": LAST}


def test_the_database_may_be_in_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIRIMHOOK_DATABASE", f"sqlite:///{tmp_path / 'sender.db'}")
    assert kirimhook("migrate").code == 0
    assert (tmp_path / "sender.db").is_file()


@pytest.mark.parametrize(
    ("url", "code", "message"),
    [
        ("mysql://x/y", 2, "--database: database URL: write sqlite:///file.db, or postgresql://"),
        ("sqlite:///:memory:", 2, "--database: a sender's SQLite database is a file"),
        ("postgresql://u@/none?host={folder}", 1, "disconnected: "),
        ("sqlite:///{folder}", 1, "cannot_open: "),
    ],
)
def test_what_it_cannot_do_is_one_line(url: str, code: int, message: str, tmp_path: Path) -> None:
    ran = kirimhook("migrate", "--database", url.format(folder=tmp_path))
    assert (ran.code, ran.out) == (code, "")
    assert ran.errors.startswith(f"kirimhook: {message}")
    assert ran.errors.count("\n") == 1


def test_a_newer_database_is_left_alone(databases: Databases) -> None:
    databases.run(lambda database: database.write(done(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")))
    ran = kirimhook("migrate", "--database", databases.url)
    assert (ran.code, ran.out) == (1, "")
    assert "revision 9999, which this version does not know" in ran.errors
