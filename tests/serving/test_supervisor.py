"""Restarts back off, and end when they are hopeless; one place that fails while others serve is tried for ever.

The children here are small programs that speak the control protocol, so that they can fail at will.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kirimhook.serving.options import Options, ServeError
from kirimhook.serving.receiving import Receiving
from kirimhook.serving.supervisor import Backoff, supervise
from kirimhook.settings import ReceiverSettings

QUICK = Backoff(shortest=0.001, longest=0.01, hopeless=3)

CHILD = """
import os, pathlib, socket, sys, time
folder = pathlib.Path(sys.argv[1])
control = socket.socket(fileno=int(os.environ["KIRIMHOOK_CHILD"].split(",")[0]))
births = 0
while True:  # several are born at one time: each has a number of its own
    try:
        os.close(os.open(folder / str(births), os.O_CREAT | os.O_EXCL))
        break
    except FileExistsError:
        births += 1
"""
SERVES_ONCE = (
    CHILD
    + """
if births:
    sys.exit(3)  # every later one dies before it serves
control.sendall(b'{"is":"ready"}\\n')
"""
)
NEVER_SERVES = CHILD + "sys.exit(4)"
SERVES_UNTIL_TOLD = (
    CHILD
    + """
control.sendall(b'{"is":"ready"}\\n')
if births >= 2:  # the third
    os.kill(os.getppid(), 15)
control.recv(100)
"""
)
IS_REPLACED_WHEN_TOLD = (
    CHILD
    + """
if births == 1:  # in place of the first, and told to stop before it serves
    os.kill(os.getppid(), 15)
    time.sleep(600)
control.sendall(b'{"is":"ready"}\\n')
"""
)
TALKS_NONSENSE = (
    CHILD
    + """
control.sendall(b'{"is":"ready"}\\n[1]\\n')
os.kill(os.getppid(), 15)
while control.recv(100):
    pass
"""
)
DOES_NOT_STOP = (
    CHILD
    + """
control.sendall(b'{"is":"ready"}\\n')
os.kill(os.getppid(), 15)
while True:
    time.sleep(60)
"""
)


@pytest.fixture
def births(tmp_path: Path) -> Path:
    (tmp_path / "births").mkdir()
    return tmp_path / "births"


def run(program: str, births: Path, processes: int = 1, drain: float = 20.0) -> int:
    settings = ReceiverSettings(drain_timeout=drain)
    options = Options("sqlite:///never-opened.db", processes=processes, settings=settings)
    return supervise(Receiving(options), [sys.executable, "-c", program, str(births)], QUICK)


def test_a_first_child_that_does_not_serve_ends_it_without_another_try(births: Path) -> None:
    with pytest.raises(ServeError, match="could not start"):
        run(NEVER_SERVES, births, processes=3)
    assert len(list(births.iterdir())) == 1


def test_replacements_that_never_serve_end_it_when_no_other_serves(births: Path) -> None:
    with pytest.raises(ServeError, match="3 times in a row"):
        run(SERVES_ONCE, births)
    assert len(list(births.iterdir())) == 1 + QUICK.hopeless


def test_children_are_told_to_stop_and_waited_for(births: Path) -> None:
    assert run(SERVES_UNTIL_TOLD, births, processes=3) == 0
    assert len(list(births.iterdir())) == 3


def test_a_child_that_does_not_serve_yet_ends_without_having_failed(births: Path) -> None:
    assert run(IS_REPLACED_WHEN_TOLD, births, processes=1) == 0
    assert len(list(births.iterdir())) == 2


def test_a_child_that_talks_nonsense_does_not_take_the_supervisor_along(births: Path) -> None:
    assert run(TALKS_NONSENSE, births) == 0


def test_a_child_that_does_not_stop_is_killed_after_the_bound(births: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kirimhook.serving.supervisor.DRAIN", 0.0)
    monkeypatch.setattr("kirimhook.serving.supervisor.MARGIN", 0.2)
    assert run(DOES_NOT_STOP, births, drain=0.0) == 1


@given(st.integers(0, 10_000))
def test_backoff_doubles_from_its_shortest_to_its_longest(failures: int) -> None:
    usual = Backoff()
    assert usual.shortest <= usual.before(failures) <= usual.longest
    assert usual.before(failures) <= usual.before(failures + 1)
    assert usual.before(1) == usual.shortest
    assert usual.before(3) == 4 * usual.shortest
