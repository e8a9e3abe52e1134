"""Who is told, for tests of processes: an HTTP endpoint on a thread of its own, and a command that dies of it."""

from __future__ import annotations

import json
import queue
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

SOON = 30.0
DIES = """import os, pathlib, signal, sys
with pathlib.Path(sys.argv[1]).open("a") as file:
    file.write(sys.stdin.read())
    file.flush()
    os.fsync(file.fileno())
os.killpg(0, signal.SIGKILL)
"""


class Ear:
    """What it was told, in order."""

    def __init__(self) -> None:
        self.url = ""
        self.told: list[dict[str, Any]] = []
        self._come: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()

    def hear(self, document: dict[str, Any]) -> None:
        self._come.put(document)

    def until(self, count: int) -> None:
        """Wait until it was told of so many things in all."""
        while self.count < count:
            self.told.append(self._come.get(timeout=SOON))

    def until_reason(self, reason: str) -> None:
        """Wait until it was told of something for this reason."""
        while not self.reasons[reason]:
            self.told.append(self._come.get(timeout=SOON))

    def rest(self) -> None:
        """Take what came meanwhile."""
        while not self._come.empty():
            self.told.append(self._come.get())

    @property
    def count(self) -> int:
        return sum(document["count"] for document in self.told)

    @property
    def reasons(self) -> Counter[str]:
        """How many things, by reason."""
        found: Counter[str] = Counter()
        for document in self.told:
            assert document["others"] == 0
            for notice in document["notices"]:
                found[notice["reason"]] += notice["count"]
        return found


@contextmanager
def listening() -> Iterator[Ear]:
    """On loopback, plain HTTP."""
    ear = Ear()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            ear.hear(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    ear.url = f"http://127.0.0.1:{server.server_address[1]}/told"
    try:
        yield ear
    finally:
        server.shutdown()
        thread.join(SOON)
        server.server_close()


def dying(folder: Path) -> str:
    """A command for `--notify`, which keeps what it is told in `told`, and kills who told it, itself, and all of their
    process group: nobody learns that it was told."""
    (folder / "dies.py").write_text(DIES)
    return f"{sys.executable} {folder / 'dies.py'} {folder / 'told'}"
