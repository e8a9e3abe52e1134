"""A command as a person runs it: on a terminal, and asked where it asks."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.crash.waiting import until


def on_a_terminal(
    arguments: Sequence[str], answer: bytes | signal.Signals | None = None, folder: Path | None = None
) -> tuple[int, str]:
    """`kirimhook ARGUMENTS`: exit code and what was shown. `answer` is typed, or sent, when it asks yes or no."""
    command = [sys.executable, "-m", "kirimhook", *arguments]
    ours, theirs = pty.openpty()
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "100", "TERM": "xterm"}
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, cwd=folder)
    os.close(theirs)
    said = b""
    try:
        if answer is not None:
            while b"[y/N]" not in said:
                said += os.read(ours, 65_536)
            if isinstance(answer, signal.Signals):
                until(lambda: _sleeps(process.pid), "it waits for the answer")
                process.send_signal(answer)
            else:
                os.write(ours, answer)
        with contextlib.suppress(OSError):  # the terminal is gone with its last user
            while some := os.read(ours, 65_536):
                said += some
        return process.wait(30), said.decode().replace("\r\n", "\n")
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def _sleeps(pid: int) -> bool:
    """A signal that comes after the question and before the read begins is looked at by Python after the read."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"
