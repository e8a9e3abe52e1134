"""Every command of `kirimhook inbox` works on every kind of inbox, and says alike what is not there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.cli.commands import kirimhook
from tests.cli.inboxes import KINDS, Places, within
from tests.cli.test_inbox import BODY, fill


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """1 done, 2 parked, 1 unhandled, 1 waiting; named by the environment."""
    made = places.made(request.param, tmp_path)
    within(made, fill)
    monkeypatch.setenv("KIRIMHOOK_INBOX", made)
    return made


def said(*arguments: str) -> Any:
    ran = kirimhook("inbox", *arguments, "--json")
    assert ran.code == 0, ran.errors
    return ran.lines if arguments[0] == "list" else ran.data


@pytest.mark.parametrize("kind", KINDS)
def test_what_an_inbox_cannot_do_is_said(kind: str, places: Places, tmp_path: Path) -> None:
    ran = kirimhook("inbox", "purge", "--payload-days", "1", "--inbox", places.made(kind, tmp_path))
    assert (ran.code, ran.out) == (0, "0 bodies and 0 records removed\n")
    assert ("--payload-days changes nothing" in ran.errors) == (kind == "nats")


@pytest.mark.usefixtures("url")
def test_every_command_works() -> None:
    listed = {line["event_id"]: line for line in said("list")}
    states = ["waiting", "unhandled", "parked", "parked", "done"]
    assert [line["state"] for line in listed.values()] == states
    assert [line["event_id"] for line in said("list", "--state", "parked", "--type", "contact.*")] == ["evt_3"]
    number = str(listed["evt_2"]["number"])
    assert said("show", number)["reason"] == "Traceback …\nValueError: no"
    assert kirimhook("inbox", "show", number, "--body").raw == BODY
    assert said("stats")["states"] == {"waiting": 1, "running": 0, "done": 1, "parked": 2, "unhandled": 1, "skipped": 0}
    assert said("pause") == {"paused": True}
    assert said("stats")["paused"] is True
    assert said("resume") == {"paused": False}
    assert said("put-back", "--state", "parked", "--type", "contact.*", "--yes")["put_back"] == 1
    assert said("put-back", "--number", number, "--yes")["put_back"] == 1
    assert said("stats")["states"]["waiting"] == 3
    assert said("purge") == {"payloads": 0, "records": 0}
    gone = kirimhook("inbox", "show", "99999")
    assert (gone.code, gone.errors) == (1, "kirimhook: there is no event 99999\n")


@pytest.mark.parametrize("kind", ["postgresql", "nats"])
@pytest.mark.parametrize("command", ["list", "stats", "pause", "purge", "put-back --state parked --yes"])
def test_what_is_not_migrated_is_said(kind: str, command: str, places: Places, tmp_path: Path) -> None:
    ran = kirimhook("inbox", *command.split(), "--inbox", places.url(kind, tmp_path))
    assert (ran.code, ran.out) == (1, "")
    assert "is not migrated: run kirimhook migrate --inbox " in ran.errors
    assert ran.errors.count("\n") == 1


@pytest.mark.parametrize(
    "url", ["postgresql://u:h0rse-staple@/x?host={folder}", "nats://u:h0rse-staple@127.0.0.1:1/x?patience=0.2"]
)
def test_a_server_that_is_away_is_one_line_without_the_password(url: str, tmp_path: Path) -> None:
    ran = kirimhook("inbox", "stats", "--inbox", url.format(folder=tmp_path))
    assert (ran.code, ran.out) == (1, "")
    assert "u:***@" in ran.errors
    assert "storage_unavailable" in ran.errors
    assert "h0rse" not in ran.errors
    assert ran.errors.count("\n") == 1


@pytest.mark.parametrize(
    "url", ["postgresql://u:h0rse-staple@db/x?schema=A", "nats://u:h0rse-staple@n1/x?replicas=9", "tls://h0rse@n1/a.b"]
)
def test_a_url_that_makes_no_sense_is_one_line_without_the_password(url: str) -> None:
    ran = kirimhook("inbox", "stats", "--inbox", url)
    assert (ran.code, ran.out) == (2, "")
    assert "h0rse" not in ran.errors
    assert ran.errors.count("\n") == 1
