"""A receiver with the fault that G2 excludes: it claims an id in one write, and stores the event in another.

`python -m tests.crash.faulty DATABASE PORT SECRETS_FILE` is the guide's recipe taken at its word, with all else as
in `kirimhook serve`. Where a file DEATH lies beside its database, it dies between the two writes.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from kirimhook import Receiver
from kirimhook.backends.sqlite.inbox import SQLiteInbox
from kirimhook.backends.sqlite.settings import SQLiteSettings
from kirimhook.receiver.model import InboundEvent, Receipt
from kirimhook.receiver.secrets import Keyring
from kirimhook.settings import ReceiverSettings
from tests.crash.processes import ROOT, Processes
from tests.crash.waiting import SOON

DEATH = "die-between-claim-and-store"
PATH = "/kirim-webhook"


class ClaimThenStore(SQLiteInbox):
    """Both writes are durable; between them lies the window."""

    def __init__(self, database: Path) -> None:
        super().__init__(SQLiteSettings(str(database)), time.time)
        self._claims = sqlite3.connect(database.with_name("claims.db"), isolation_level=None)
        self._claims.execute("CREATE TABLE IF NOT EXISTS claims (dedupe_key BLOB PRIMARY KEY)")
        self._death = database.with_name(DEATH)

    async def put(self, events: Sequence[InboundEvent]) -> list[Receipt]:
        fresh = [event for event in events if self._claim(event)]
        if fresh and self._death.exists():
            self._death.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        if fresh:
            await super().put(fresh)
        return [Receipt.FRESH if event in fresh else Receipt.DUPLICATE for event in events]

    def _claim(self, event: InboundEvent) -> bool:
        """SETNX."""
        return self._claims.execute("INSERT OR IGNORE INTO claims VALUES (?)", (event.dedupe_key,)).rowcount > 0


class FaultyVictim:
    """Runs it, and has it die in the window."""

    dies_by_itself = False  # it is told when

    def __init__(self, processes: Processes) -> None:
        self.database = processes.database
        self._environment = {**os.environ, **processes.environment}
        self._secrets_file = processes.secrets_file
        self._process: subprocess.Popen[str] | None = None
        self._port = 0

    def start(self) -> str:
        arguments = [str(self.database), str(self._port), str(self._secrets_file)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.faulty", *arguments],
            cwd=ROOT,
            env=self._environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self._port = int(self._process.stdout.readline())
        return f"http://127.0.0.1:{self._port}{PATH}"

    def crash(self) -> None:
        """At its next claim."""
        self.database.with_name(DEATH).touch()
        assert self._wait() == -signal.SIGKILL

    def stop(self) -> None:
        assert self._process is not None
        self._process.terminate()
        self._wait()

    def end(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._wait()

    def _wait(self) -> int:
        assert self._process is not None
        assert self._process.stdout is not None
        code = self._process.wait(SOON)
        self._process.stdout.close()
        return code


def main(database: str, port: str, secrets_file: str) -> None:
    from kirimhook.serving.server import Server, bind, make_config
    from tests.crash.handlers import hooks

    keyring = Keyring.from_file(secrets_file)
    settings = ReceiverSettings(lease=1.0, attempts=1000)
    receiver = Receiver(ClaimThenStore(Path(database)), keyring, hooks=hooks, settings=settings, path=PATH)
    server = Server(make_config(receiver))
    listening = bind("127.0.0.1", int(port))
    print(listening.getsockname()[1], flush=True)
    server.run(sockets=[listening])


if __name__ == "__main__":
    main(*sys.argv[1:])
