"""Who may write: one process at a time, in turn, without busy-waiting.

SQLite lets writers spin on its own lock, which starves some of them, and before 3.51.3 it can corrupt a file
when one connection checkpoints while another commits. Every commit and every checkpoint of ours happens under
this lock, so neither can occur between our processes.
"""

from __future__ import annotations

import fcntl
import os
from types import TracebackType

from kirimhook.sqlite_file.paths import identity, make_folder


class WriterLock:
    """A fair lock between processes, of two `flock`s: whoever waits holds the turnstile.

    The one that just wrote has to pass the turnstile again, and finds the next writer standing in it, so it
    cannot take the lock twice while another waits. The kernel frees both when a process dies. Blocking; used
    by the writer thread alone. Raises OSError.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._turnstile = self._lock = -1
        self._open()

    def __enter__(self) -> None:
        self._acquire()
        while not self._in_place():
            self.close()
            self._open()
            self._acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        fcntl.flock(self._lock, fcntl.LOCK_UN)

    def close(self) -> None:
        """Lets go of the lock too."""
        for descriptor in (self._turnstile, self._lock):
            if descriptor >= 0:
                os.close(descriptor)
        self._turnstile = self._lock = -1

    def _open(self) -> None:
        make_folder(self._path)
        try:
            self._turnstile = _open(f"{self._path}-turn")
            self._lock = _open(f"{self._path}-lock")
        except OSError:
            self.close()
            raise

    def _acquire(self) -> None:
        fcntl.flock(self._turnstile, fcntl.LOCK_EX)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        finally:
            fcntl.flock(self._turnstile, fcntl.LOCK_UN)

    def _in_place(self) -> bool:
        """A lock file that somebody deleted keeps nobody out who comes later."""
        held = os.fstat(self._lock)
        return identity(f"{self._path}-lock") == (held.st_dev, held.st_ino)


class NoLock:
    """For `:memory:`, which no other process can open."""

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def close(self) -> None: ...


def _open(path: str) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
