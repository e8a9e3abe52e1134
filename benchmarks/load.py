"""wrk, a load generator in a process of its own, with a pool of signed bodies."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks.bodies import bodies
from kirimhook.contract.events import MESSAGE_RECEIVED, META
from kirimhook.contract.headers import EVENT_ID, build
from kirimhook.contract.signature import Secret, sign

SCRIPT = Path(__file__).parent / "pool.lua"
END_OF_HEADERS, END_OF_RECORD = b"\x1f", b"\x1e"
SLOWEST = 20
"""Seconds to wait for one answer before it counts as broken."""


class LoadError(Exception):
    """wrk is missing, did not run, or what it counted makes the run invalid."""


class Load(NamedTuple):
    """What wrk saw. It sends the next request of a connection when the last one is answered (closed loop)."""

    issued: int
    """Requests made: those answered, and at most one per connection that the end of the run cut off."""
    answered: int
    seconds: float
    p50_ms: float
    p99_ms: float
    max_ms: float

    @property
    def per_second(self) -> float:
        return self.answered / self.seconds


def missing() -> str | None:
    """How to install the load generator, if it is not here."""
    return None if shutil.which("wrk") else "apt install wrk"


def run(url: str, *, seconds: int, connections: int, label: str, folder: Path, secret: Secret) -> Load:
    """Load `url` with unique events named after `label`. Raises LoadError for any answer that is not a success."""
    pool = folder / "pool"
    _write_pool(pool, secret)
    path = "/" + url.split("/", 3)[3]
    command = ["wrk", "--threads=1", f"--connections={connections}", f"--duration={seconds}s"]
    command += [f"--timeout={SLOWEST}s", f"--script={SCRIPT}", url, "--", str(pool), path, label]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=False)
    lines = [line for line in finished.stdout.splitlines() if line.startswith("{")]
    if finished.returncode or not lines:
        raise LoadError(f"wrk failed: {finished.stdout[-500:]}{finished.stderr[-500:]}")
    return _read(json.loads(lines[-1]), connections)


def _read(counted: dict[str, int], connections: int) -> Load:
    """wrk makes one request that it never sends, and reconnects in silence: hence the look at what is missing."""
    missing = counted["issued"] - counted["answered"]
    if counted["refused"] or counted["broken"] or not counted["answered"] or missing > connections + 1:
        raise LoadError(f"not every request was answered with a success: {counted}")
    return Load(
        counted["issued"],
        counted["answered"],
        counted["microseconds"] / 1e6,
        *(counted[name] / 1e3 for name in ("p50_us", "p99_us", "max_us")),
    )


def _write_pool(path: Path, secret: Secret) -> None:
    """Signed now: a signature is good for 5 minutes."""
    now = int(time.time())
    with path.open("wb") as file:
        for number, body in enumerate(bodies()):
            headers = build(
                source=META,
                event_type=MESSAGE_RECEIVED,
                event_id="x",
                delivery_id=f"wbd_{number:026}",
                attempt=1,
                signature=sign([secret], body, now),
            )
            lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items() if name != EVENT_ID)
            file.write(lines.encode() + END_OF_HEADERS + body + END_OF_RECORD)
