"""The command: what makes no sense is 2 and one line; the list of checks is whole; a report is one JSON document that
quotes no secret; what was asked for and could not be done is 1; a certificate that does not verify ends it."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kirimhook.operating.doctor.place import Place
from kirimhook.operating.doctor.table import CHECKS
from tests.cli.commands import kirimhook
from tests.operating.doctor.consumer import SECRETS, consuming
from tests.operating.doctor.faults import Fault

SECRET = SECRETS[0].reveal()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "kirimhook doctor URL"),
        (["https://localhost/x"], "no secret: give --secret"),
        (["ftp://localhost/x", "--secret", "whsec_a"], "write http://… or https://…"),
        (["https://é..example/x", "--secret", "whsec_a"], "its host is no domain name"),
        (["https:///x", "--secret", "whsec_a"], "write http://… or https://…"),
        (["https://me:pw@localhost/x", "--secret", "whsec_a"], "credentials"),
        (["https://localhost:99999/x", "--secret", "whsec_a"], "URL 'https://localhost:99999/x'"),
        (["https://localhost/x", "--secret", "whsec_a", "--admin", "localhost"], "--admin 'localhost'"),
        (["https://localhost/x", "--secret", "whsec_a", "--ca-bundle", "/nowhere/ca.pem"], "--ca-bundle"),
        (["https://localhost/x", *[part for n in range(17) for part in ("--secret", f"whsec_{n}")]], "16 secrets"),
    ],
)
def test_what_makes_no_sense_is_one_line_and_2(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KIRIM_WEBHOOK_SECRETS", raising=False)
    ran = kirimhook("doctor", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.errors
    assert ran.errors.count("\n") == 1


@given(st.text(max_size=40).map(lambda text: f"https://{text}"))
def test_any_url_has_a_place_or_a_reason(url: str) -> None:
    place, reason = None, ""
    try:
        place = Place.of(url)
    except ValueError as error:
        reason = str(error)
    assert (place is None) == bool(reason)
    if place is not None:
        assert f"{place.host}{place.path}{place.authority}".isascii()
        assert " " not in place.path
        assert 1 <= place.port <= 65_535


def test_the_list_holds_every_check() -> None:
    shown = kirimhook("doctor", "--list").out
    assert [row["check"] for row in kirimhook("doctor", "--list", "--json").data] == [check.id for check in CHECKS]
    assert [check.id for check in CHECKS if check.id not in shown] == []


def test_a_report_is_one_document(tmp_path: Path) -> None:
    with consuming(tmp_path, Fault.NEVER_STALE) as standing:
        ran = kirimhook("doctor", standing.url, "--secret", SECRET, "--ca-bundle", str(standing.ca), "--json")
    assert ran.code == 1
    assert ran.data["healthy"] is False
    assert (ran.data["failed"], ran.data["warned"], ran.data["not_run"]) == (1, 0, 0)
    (row,) = [row for row in ran.data["checks"] if row["verdict"] == "failed"]
    assert (row["check"], row["contract"], row["saw"]) == ("stale", "1 [seed]", "200 ok: it must be refused")
    assert "sent again for ever" in row["cost"]
    assert [row["cost"] for row in ran.data["checks"] if row["verdict"] == "passed"] == [None] * ran.data["passed"]
    assert SECRET not in json.dumps(ran.data)


def test_people_are_told_what_it_costs(tmp_path: Path) -> None:
    with consuming(tmp_path, Fault.DEDUPES_STATUSES) as standing:
        given = ["--secret", SECRET, "--ca-bundle", str(standing.ca), "--probe-events"]
        ran = kirimhook("doctor", standing.url, *given)
    assert ran.code == 1
    assert "statuses failed" in ran.out
    assert "two of three statuses of every message are thrown away" in ran.out
    assert "1 failed" in ran.out.splitlines()[-1]
    assert SECRET not in ran.out


def test_a_warning_alone_is_no_failure(tmp_path: Path) -> None:
    with consuming(tmp_path, Fault.ANSWERS_GET) as standing:
        ran = kirimhook("doctor", standing.url, "--secret", SECRET, "--ca-bundle", str(standing.ca))
    assert ran.code == 0
    assert "get warned" in ran.out


def test_a_certificate_that_does_not_verify_gets_nothing_signed(tmp_path: Path) -> None:
    with consuming(tmp_path, Fault.UNKNOWN_AUTHORITY) as standing:
        ran = kirimhook("doctor", standing.url, "--secret", SECRET, "--ca-bundle", str(standing.ca), "--json")
    assert ran.code == 1
    assert ran.data["events"] == []
    assert {row["saw"] for row in ran.data["checks"] if row["verdict"] == "not_run"} == {
        "it would say nothing: chain did not pass"
    }


def test_an_admin_port_that_does_not_answer_was_not_run(tmp_path: Path) -> None:
    with consuming(tmp_path) as standing:
        given = ["--secret", SECRET, "--ca-bundle", str(standing.ca), "--admin", standing.url]
        ran = kirimhook("doctor", standing.url, *given, "--json")
    assert ran.code == 1
    assert {row["check"] for row in ran.data["checks"] if row["verdict"] == "not_run"} == {"ready", "loaded"}


def test_on_a_terminal_the_progress_is_shown_and_no_report_is_mixed_with_it(tmp_path: Path) -> None:
    with consuming(tmp_path) as standing:
        given = [standing.url, "--secret", SECRET, "--ca-bundle", str(standing.ca)]
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "kirimhook", "doctor", *given], stdin=theirs, stderr=theirs, stdout=subprocess.PIPE
        )
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # the end of a terminal
            while some := os.read(ours, 65_536):
                shown += some
        report, _ = process.communicate(timeout=30)
        os.close(ours)
    assert process.returncode == 0
    assert b"examining" in shown
    assert report.startswith(b"VERDICT")
    assert b"examining" not in report


def test_ctrl_c_ends_it_and_says_what_that_means(tmp_path: Path) -> None:
    with consuming(tmp_path, Fault.HANGS) as standing:
        given = [standing.url, "--secret", SECRET, "--ca-bundle", str(standing.ca)]
        process = subprocess.Popen(
            [sys.executable, "-m", "kirimhook", "doctor", *given], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert standing.asked.wait(30)
        process.send_signal(signal.SIGINT)
        report, said = process.communicate(timeout=30)
    assert (process.returncode, report) == (130, b"")
    assert said.startswith(b"stopped: nothing is found out")
