"""The crash tests of `make chaos`, several at once: they mostly wait, for leaders, leases and restarts.

    python -m tests.crash.chaos docs/evidence/chaos.md

Writes the table of what they counted there. KIRIMHOOK_CHAOS_ROUNDS and KIRIMHOOK_CHAOS_SECONDS say how long. The
output of each comes when all have ended, so that they do not mix. Exit code 0: all passed.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.crash import table
from tests.crash.table import Row

HERE = "tests/crash"
POSTGRES, NATS = f"{HERE}/test_postgres_faults.py", f"{HERE}/test_nats_faults.py"
QUORUM = "frozen or another"
AT_ONCE = (
    (HERE, f"--ignore={POSTGRES}", f"--ignore={NATS}"),
    (POSTGRES,),
    (NATS, "-k", f"not ({QUORUM})"),
    (NATS, "-k", QUORUM),
)
PYTEST = ("-m", "pytest", "--timeout=3600", "-o", "faulthandler_timeout=0", "--color=no", "-p", "no:cacheprovider")


def main(target: str) -> int:
    with tempfile.TemporaryDirectory() as folder:
        parts = [Path(folder) / str(number) for number in range(len(AT_ONCE))]
        started = [_start(part, arguments) for part, arguments in zip(parts, AT_ONCE, strict=True)]
        try:
            codes = [each.wait() for each in started]
        except KeyboardInterrupt:
            for each in started:
                each.send_signal(signal.SIGINT)  # it ends what it has started
            for each in started:
                each.wait()
            return 130
        for part in parts:
            sys.stdout.write(part.with_suffix(".log").read_text())
        lines = [json.loads(line) for part in parts if part.exists() for line in part.read_text().splitlines()]
    rows = [Row(*line["row"]) for line in lines if "row" in line]
    failed = [line["failed"] for line in lines if "failed" in line]
    table.write(Path(target), rows, failed or [f"exit codes {codes}"] * any(codes))
    return max(codes)


def _start(part: Path, arguments: tuple[str, ...]) -> subprocess.Popen[bytes]:
    with part.with_suffix(".log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, *PYTEST, *arguments],
            env={**os.environ, table.VARIABLE: str(part)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
