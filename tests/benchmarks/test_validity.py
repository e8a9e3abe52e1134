"""A run that lost something is no result: any answer but a success, and any event too few or too many, ends it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from benchmarks import load
from benchmarks.bodies import waiting_events
from benchmarks.cases.acks import check_stored
from benchmarks.files import InvalidRunError, expect, fill
from benchmarks.load import Load, LoadError
from benchmarks.processes import ProcessError, free_port, running
from kirimhook.contract.signature import Secret
from kirimhook.receiver.model import EventState

STORED = 10
NOT_FOUND = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(404)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    path = tmp_path / "inbox.db"
    asyncio.run(fill(path, waiting_events(STORED, "x")))
    return path


@pytest.mark.parametrize(("answered", "issued"), [(STORED, STORED), (STORED - 1, STORED), (1, STORED + 1)])
def test_all_that_was_acknowledged_and_nothing_that_was_not_sent(inbox: Path, answered: int, issued: int) -> None:
    check_stored(inbox, 0, [Load(issued, answered, 1, 1, 1, 1)])


@pytest.mark.parametrize(("answered", "issued"), [(STORED + 1, STORED + 1), (STORED - 2, STORED - 1)])
def test_an_event_lost_or_made_up_makes_the_run_invalid(inbox: Path, answered: int, issued: int) -> None:
    with pytest.raises(InvalidRunError):
        check_stored(inbox, 0, [Load(issued, answered, 1, 1, 1, 1)])


def test_a_drain_must_leave_exactly_what_is_expected(inbox: Path) -> None:
    expect(inbox, {EventState.WAITING: STORED})
    with pytest.raises(InvalidRunError):
        expect(inbox, {EventState.DONE: STORED})


@pytest.mark.needs("wrk")
def test_an_answer_that_is_no_success_makes_the_run_invalid(tmp_path: Path) -> None:
    port = free_port()
    with running(["-c", NOT_FOUND, str(port)], tmp_path) as server:
        server.wait_for_port(port)
        with pytest.raises(LoadError, match="refused"):
            load.run(
                f"http://127.0.0.1:{port}/", seconds=1, connections=2, label="x", folder=tmp_path, secret=Secret("x")
            )


def test_a_process_that_ends_too_early_says_what_it_said(tmp_path: Path) -> None:
    with running(["-c", "raise SystemExit('no such thing')"], tmp_path) as process, pytest.raises(ProcessError) as told:
        process.wait_for_port(free_port())
    assert "no such thing" in str(told.value)
