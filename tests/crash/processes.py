"""The processes of one test: `kirimhook serve` and `kirimhook work` over one inbox, and nothing left at its end."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil

from kirimhook.testing.requests import TEST_SECRET
from kirimhook.testing.served import Served
from tests.crash import journal
from tests.crash.waiting import SOON, until

ROOT = Path(__file__).parents[2]
HANDLERS = "tests.crash.handlers:hooks"
MARK = "KIRIMHOOK_TEST_RUN"
"""The variable by which a process is known as one of this test, whoever its parent is by now."""


class Lines:
    """What a process printed."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._came = threading.Condition()

    def take(self, line: str) -> None:
        with self._came:
            self._lines.append(line)
            self._came.notify_all()

    def wait_for(self, line: str) -> None:
        with self._came:
            assert self._came.wait_for(lambda: line in self._lines, SOON), f"{line!r} not among {self._lines}"

    def __contains__(self, line: str) -> bool:
        return line in self._lines


class Processes:
    """Starts them with an admin port and a log of their own; `end` ends what still runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.database = folder / "inbox.db"
        self.inbox = f"sqlite:///{self.database}"
        """URL of what they share; set it before the first is started."""
        self.journal = folder / "journal"
        self.secrets_file = folder / "secrets.txt"
        self.secrets_file.write_text(TEST_SECRET.reveal() + "\n")
        self.environment = {journal.VARIABLE: str(self.journal), MARK: uuid.uuid4().hex}
        self._started: list[Served] = []

    def serve(
        self,
        *options: str,
        hooks: str = HANDLERS,
        port: int = 0,
        query: str = "",
        lines: Lines | None = None,
        wrapper: Sequence[str] = (),
    ) -> Served:
        """Returns when it listens. `query` is of the inbox's URL. Raises ServeFailed."""
        where = ("--port", str(port), "--secrets-file", str(self.secrets_file))
        return self._start(["serve", hooks, *where, *self._inbox(query), *options], lines, wrapper=wrapper)

    def work(
        self,
        *options: str,
        hooks: str = HANDLERS,
        lines: Lines | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Served:
        """Returns when it works. Raises ServeFailed."""
        return self._start(["work", hooks, *self._inbox(""), *options], lines, environment=environment)

    def sender(self, *options: str) -> tuple[dict[str, Any], str]:
        """Its `sender_started`, and a key of an organisation. Delivers to this machine. Raises ServeFailed."""
        database = f"sqlite:///{self.folder / 'sender.db'}"
        started = self.start_sender(*options, database=database).started()
        return started, self.key(database)

    def start_sender(self, *options: str, database: str) -> Served:
        """Returns when it runs. Raises ServeFailed."""
        ports = ("--port", "0", "--admin-port", "0", "--allow-network", "127.0.0.0/8")
        keys = ("--master-key-file", str(self.folder / "master.key"))
        return self._start(["sender", "--database", database, *ports, *keys, *options], None)

    def key(self, database: str) -> str:
        """A new key, of the organisation `test`."""
        made: str = json.loads(
            self.command("sender", "keys", "create", "--org", "test", "--json", "--database", database)
        )["key"]
        return made

    def ledger(self, database: str) -> dict[str, Any]:
        """The account. Fails unless it balances."""
        account: dict[str, Any] = json.loads(self.command("sender", "ledger", "--json", "--database", database))
        return account

    def command(self, *words: str) -> str:
        """Run `kirimhook` to its end, which must be a success; what it printed."""
        variables = {**os.environ, **self.environment}
        command = [sys.executable, "-m", "kirimhook", *words]
        done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=SOON, check=False)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    @contextmanager
    def nobody_writes(self) -> Iterator[None]:
        """Hold both locks of the SQLite inbox, in the order in which its writers take them: none has any then."""
        with ExitStack() as held:
            for suffix in ("-turn", "-lock"):
                lock = held.enter_context(Path(f"{self.database}{suffix}").open("rb"))
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def end(self) -> None:
        for served in self._started:
            served.end()

    def left(self) -> list[psutil.Process]:
        """Processes of this test that are still there, orphans too."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def check_nothing_is_left(self) -> None:
        until(lambda: not self.left(), "the end of all that was started", 5)

    def _inbox(self, query: str) -> Iterator[str]:
        yield from ("--inbox", f"{self.inbox}{query}", "--admin-port", "0")

    def _start(
        self,
        arguments: list[str],
        lines: Lines | None,
        *,
        wrapper: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> Served:
        printed = lines.take if lines is not None else None
        variables = {**self.environment, **(environment or {})}
        served = Served(arguments, folder=ROOT, environment=variables, printed=printed, wrapper=wrapper)
        self._started.append(served)
        served.started()
        return served

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return process.environ().get(MARK) == self.environment[MARK] and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False
