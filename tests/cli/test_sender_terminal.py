"""Who starts a sender for the first time, on a terminal, is told what to do next; and it works as it is told."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

COMMAND = [sys.executable, "-m", "kirimhook", "sender", "--port", "0", "--no-admin"]


def said_on_a_terminal(folder: Path) -> str:
    """All that it wrote until it had started; then it is told to stop, as Ctrl-C does."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "200"}
    process = subprocess.Popen(
        COMMAND, cwd=folder, env=environment, stdin=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    said = b""
    try:
        while b"sender_started" not in said:
            said += os.read(ours, 65_536)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    return said.decode().replace("\r\n", "\n")


def test_the_first_start_tells_the_next_steps_and_the_second_does_not(tmp_path: Path) -> None:
    first = said_on_a_terminal(tmp_path)
    assert "A new database is being made" in first
    [create] = re.findall(r"KIRIM_KEY=\$\(kirimhook (.*)\)", first)
    made = subprocess.run(
        [sys.executable, "-m", "kirimhook", *create.split()], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert re.fullmatch(r"kdv_live_[\w-]{24}\n", made.stdout)
    assert "A new database" not in said_on_a_terminal(tmp_path)
