"""The tests in two processes at once: those that wait for other processes, and all others; both under coverage.

What starts, kills and measures processes mostly waits; the others mostly compute. One after the other they would
take twice the time. The output of the first comes when it has ended, so that the two do not mix. Exit code 0: both
passed.

    python tests/side_by_side.py
"""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

WAITING = ("tests/crash", "tests/benchmarks", "tests/examples", "tests/operating", "tests/serving")
PYTEST = (sys.executable, "-m", "coverage", "run", "--parallel-mode", "-m", "pytest", "--color=no")
COMBINE = (sys.executable, "-m", "coverage", "combine", "--quiet")


def main() -> int:
    waiting = [*PYTEST, "-p", "no:cacheprovider", *WAITING]
    computing = [*PYTEST, *(f"--ignore={folder}" for folder in WAITING)]
    with tempfile.TemporaryFile() as output:
        beside = subprocess.Popen(waiting, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        try:
            codes = [subprocess.run(computing, check=False).returncode, beside.wait()]
        except KeyboardInterrupt:
            beside.send_signal(signal.SIGINT)  # it ends what it has started
            beside.wait()
            return 130
        output.seek(0)
        sys.stdout.buffer.write(output.read())
        sys.stdout.buffer.flush()
    return max(*codes, subprocess.run(COMBINE, check=False).returncode)


if __name__ == "__main__":
    if not Path("pyproject.toml").exists():
        sys.exit("run it where pyproject.toml is: make test")
    sys.exit(main())
