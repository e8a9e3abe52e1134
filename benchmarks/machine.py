"""What the figures were measured on; nothing that names the machine."""

from __future__ import annotations

import os
import platform
import sqlite3
import statistics
import time
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("kirimhook", "uvicorn", "uvloop", "httptools")
SYNCS = 200


def facts(folder: Path) -> dict[str, str | int | float]:
    """`folder` is where the inbox files lie, hence the disk that is asked how fast it is."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        **{package: version(package) for package in PACKAGES},
        "fdatasync_ms": round(_sync_ms(folder / "sync"), 3),
    }


def _sync_ms(path: Path) -> float:
    """Median of writing 4 KiB until the disk has them. Hardly anything in memory-backed folders."""
    times = []
    file = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        for _ in range(SYNCS):
            started = time.perf_counter()
            os.pwrite(file, b"\0" * 4096, 0)
            os.fdatasync(file)
            times.append(time.perf_counter() - started)
    finally:
        os.close(file)
        path.unlink()
    return statistics.median(times) * 1000
