"""A command as a person runs it: on a terminal, and asked where it asks."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import sys
from collections.abc import Sequence


def on_a_terminal(arguments: Sequence[str], answer: bytes | None = None) -> tuple[int, str]:
    """`kirimhook ARGUMENTS`: exit code and what was shown. `answer` is typed when it asks yes or no."""
    command = [sys.executable, "-m", "kirimhook", *arguments]
    ours, theirs = pty.openpty()
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "100", "TERM": "xterm"}
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    said = b""
    try:
        if answer is not None:
            while b"[y/N]" not in said:
                said += os.read(ours, 65_536)
            os.write(ours, answer)
        with contextlib.suppress(OSError):  # the terminal is gone with its last user
            while some := os.read(ours, 65_536):
                said += some
        return process.wait(30), said.decode()
    finally:
        process.kill()
        process.wait()
        os.close(ours)
