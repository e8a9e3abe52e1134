"""The receiving process as the benchmark sees it."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.processes import Measured, free_port, running
from kirimhook.testing.devca import make_certificates

NEVER = float("inf")
PATIENCE = 120.0


class Arrival(NamedTuple):
    at: float
    """Seconds of the system's monotonic clock, which every process shares."""
    delivery_id: str
    endpoint: int


class Receiver:
    """Asks and tells the receiving process."""

    def __init__(self, process: Measured, port: int, authority: Path, folder: Path) -> None:
        self.process = process
        self.authority = authority
        """PEM file of who signed its certificate."""
        self.control = port
        self._folder = folder
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self._lines = self._socket.makefile("rwb")
        self.urls = [f"https://127.0.0.1:{port}/webhooks" for port in self._ask("ports")["ports"]]

    def arrived(self) -> int:
        return int(self._ask("count")["arrived"])

    def behave(self, endpoint: int, delay: float) -> None:
        """From now on it answers after so many seconds; infinite: never."""
        self._ask("behave", endpoint=endpoint, delay=delay)

    def forget(self) -> None:
        self._ask("forget")

    def arrivals(self) -> list[Arrival]:
        """Since the last `forget`, in the order in which they came."""
        path = self._folder / "arrivals"
        self._ask("write", path=str(path))
        with path.open() as file:
            split = (line.split() for line in file)
            return [Arrival(float(at), delivery, int(endpoint)) for at, delivery, endpoint in split]

    def close(self) -> None:
        self._lines.close()
        self._socket.close()

    def _ask(self, verb: str, **arguments: Any) -> dict[str, Any]:
        self._lines.write(json.dumps({"verb": verb, **arguments}).encode() + b"\n")
        self._lines.flush()
        answer: dict[str, Any] = json.loads(self._lines.readline())
        return answer


@contextlib.contextmanager
def receiving(folder: Path, endpoints: int) -> Iterator[Receiver]:
    """A receiving process with so many endpoints, for as long as the block lasts."""
    files = make_certificates(folder)
    port = free_port()
    command = ["-m", "benchmarks.sending.receiver", f"--control={port}", f"--endpoints={endpoints}"]
    command += [f"--certificate={files.certificate}", f"--key={files.key}"]
    with running(command, folder, name="receiver") as process:
        process.wait_for_port(port)
        receiver = Receiver(process, port, files.ca, folder)
        try:
            yield receiver
        finally:
            receiver.close()
