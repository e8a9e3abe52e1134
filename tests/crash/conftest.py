"""What is started is ended: a test that leaves a process behind fails. What a run counted is printed, and tabulated."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.crash import table
from tests.crash.processes import Processes
from tests.crash.table import Report, Row

ROWS = pytest.StashKey[list[Row]]()


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    started = Processes(tmp_path)
    try:
        yield started
    finally:
        started.end()
    started.check_nothing_is_left()


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Print a line that is seen although pytest captures: the counts of a run belong into its log."""

    def line(text: str) -> None:
        with capsys.disabled():
            print(f"\n  {text}", flush=True)

    return line


@pytest.fixture
def report(say: Callable[[str], None], request: pytest.FixtureRequest) -> Report:
    """Print what a fault came to, and more about it; and remember it for the table."""

    def tell(row: Row, more: str) -> None:
        say(f"{row}; {more}")
        request.config.stash.setdefault(ROWS, []).append(row)

    return tell


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Write the table, where one is asked for."""
    rows, path = config.stash.get(ROWS, []), os.environ.get(table.VARIABLE)
    if path and rows:
        failed = [each.nodeid for kind in ("failed", "error") for each in terminalreporter.stats.get(kind, [])]
        table.write(Path(path), rows, failed)
