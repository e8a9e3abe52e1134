"""The tests in three processes at once, all under coverage: two groups that mostly wait, and all others.

What starts, kills and measures processes mostly waits; the others mostly compute. One after the other they would
take more than twice the time. The output of a group comes when all of it has ended, so that none mixes with
another's. Exit code 0: all passed.

    python tests/side_by_side.py
"""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

WAITING = (
    ("tests/crash", "tests/benchmarks", "tests/browser", "tests/conformance", "tests/pages"),
    ("tests/examples", "tests/operating", "tests/serving", "tests/cli", "tests/client"),
)
PYTEST = (sys.executable, "-m", "coverage", "run", "--parallel-mode", "-m", "pytest", "--color=no")
COMBINE = (sys.executable, "-m", "coverage", "combine", "--quiet")


@contextmanager
def beside(folders: tuple[str, ...]) -> Iterator[subprocess.Popen[bytes]]:
    """Run the tests of folders; on the way out wait for them, then print what they said."""
    with tempfile.TemporaryFile() as output:
        command = [*PYTEST, "-p", "no:cacheprovider", *folders]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        try:
            yield process
            process.wait()
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)  # it ends what it has started
            process.wait()
            raise
        output.seek(0)
        sys.stdout.buffer.write(output.read())
        sys.stdout.buffer.flush()


def main() -> int:
    others = [*PYTEST, *(f"--ignore={folder}" for folders in WAITING for folder in folders)]
    try:
        with ExitStack() as stack:
            waiting = [stack.enter_context(beside(folders)) for folders in WAITING]
            code = subprocess.run(others, check=False).returncode
    except KeyboardInterrupt:
        return 130
    codes = [code, *(process.returncode for process in waiting), subprocess.run(COMBINE, check=False).returncode]
    return int(any(codes))  # a signal's is negative


if __name__ == "__main__":
    if not Path("pyproject.toml").exists():
        sys.exit("run it where pyproject.toml is: make test")
    sys.exit(main())
