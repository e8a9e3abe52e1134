"""What is started is ended: a test that leaves a process behind fails. What a run counted is printed, and tabulated."""

from __future__ import annotations

import json
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
    """Note the rows and what failed, where somebody makes a table of them."""
    path = os.environ.get(table.VARIABLE)
    if path:
        failed = [each.nodeid for kind in ("failed", "error") for each in terminalreporter.stats.get(kind, [])]
        lines = [{"row": row} for row in config.stash.get(ROWS, [])] + [{"failed": name} for name in failed]
        Path(path).write_text("".join(f"{json.dumps(line)}\n" for line in lines))
