"""Every line of the log is one JSON object, or one readable line; fields stay fields, other libraries' lines come
along, and what came from outside can neither start a line nor speak to the terminal.
"""

from __future__ import annotations

import io
import json
import logging
import os
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kirimhook.cli.logs import LogFormat, LogLevel, configure
from kirimhook.observe import Observer


@pytest.fixture(autouse=True)
def _root_as_it_was() -> Iterator[None]:
    names = ("uvicorn.error", "uvicorn.access", "asyncio")
    handlers, level = logging.root.handlers, logging.root.level
    levels = {name: logging.getLogger(name).level for name in names}
    yield
    logging.root.handlers, logging.root.level = handlers, level
    for name in names:
        logging.getLogger(name).setLevel(levels[name])


def configured(monkeypatch: pytest.MonkeyPatch, form: LogFormat | None, level: LogLevel = LogLevel.INFO) -> io.StringIO:
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    configure(form, level)
    return written


def test_json_has_the_fields_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    written = configured(monkeypatch, LogFormat.JSON)
    Observer().event("refused", status=401, reason="no_match", client=("127.0.0.1", 5), detail=None)
    line = json.loads(written.getvalue())
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "refused", "status": 401, "reason": "no_match", "client": ["127.0.0.1", 5],
        "level": "warning", "logger": "kirimhook", "pid": os.getpid(),
    }  # fmt: skip


def test_an_exception_is_a_field_of_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    written = configured(monkeypatch, LogFormat.JSON)
    try:
        raise ValueError("the cause")
    except ValueError as error:
        Observer().event("receiver_failed", error=error, status=503)
    assert written.getvalue().count("\n") == 1
    line = json.loads(written.getvalue())
    assert (line["event"], line["level"], line["status"]) == ("receiver_failed", "error", 503)
    assert line["exception"].endswith("ValueError: the cause")


@pytest.mark.parametrize("form", list(LogFormat))
def test_a_traceback_shows_no_variables(monkeypatch: pytest.MonkeyPatch, form: LogFormat) -> None:
    written = configured(monkeypatch, form)
    secret = "".join(["whs", "ec_", "value"])
    try:
        raise ValueError(len(secret))
    except ValueError as error:
        Observer().event("receiver_failed", error=error)
    assert "ValueError: 11" in written.getvalue()
    assert secret not in written.getvalue()


def test_other_libraries_are_folded_in_but_for_their_chatter(monkeypatch: pytest.MonkeyPatch) -> None:
    written = configured(monkeypatch, LogFormat.JSON)
    logging.getLogger("uvicorn.error").info("Started server process [1]")
    logging.getLogger("uvicorn.access").warning("GET /")
    logging.getLogger("uvicorn.error").warning("Invalid HTTP request %s", "received.")
    logging.getLogger("users.own").info("their line")
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    assert [(line["logger"], line["event"], line["level"]) for line in lines] == [
        ("uvicorn.error", "Invalid HTTP request received.", "warning"),
        ("users.own", "their line", "info"),
    ]


SEEN = {LogLevel.DEBUG: 4, LogLevel.INFO: 3, LogLevel.WARNING: 2, LogLevel.ERROR: 1}


@pytest.mark.parametrize(("level", "seen"), SEEN.items())
def test_levels(monkeypatch: pytest.MonkeyPatch, level: LogLevel, seen: int) -> None:
    written = configured(monkeypatch, LogFormat.JSON, level)
    for name in ("acked", "receiver_stopped", "refused", "unstored"):
        Observer().event(name)
    assert written.getvalue().count("\n") == seen


def test_off_a_terminal_it_is_json(monkeypatch: pytest.MonkeyPatch) -> None:
    written = configured(monkeypatch, None)
    Observer().event("receiver_stopped")
    assert json.loads(written.getvalue())["event"] == "receiver_stopped"


hostile = st.text(max_size=80) | st.just("\x1b[2J\n\r\x9b31m\u2028 forged=1")


@pytest.mark.parametrize("form", list(LogFormat))
@given(value=hostile)
def test_one_event_is_one_harmless_line(form: LogFormat, value: str) -> None:
    written, before = io.StringIO(), sys.stderr
    sys.stderr = written
    try:
        configure(form, LogLevel.INFO)
        Observer().event("refused", reason="no_match", event_id=value)
        logging.getLogger("users.own").warning("%s", value)
    finally:
        sys.stderr = before
    lines = written.getvalue().split("\n")
    assert len(lines) == 3
    assert lines[-1] == ""
    assert all(char.isprintable() for line in lines for char in line)
