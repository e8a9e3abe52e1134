"""The files of a database: `inbox.db`, say, and beside it SQLite's `-wal` and `-shm` and our `-lock` and `-turn`.

They may hold customers' messages, so they are made for their owner only.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

Identity = tuple[int, int]
SIDECARS = ("-wal", "-shm")


def identity(path: str) -> Identity | None:
    """Which file the path names now; None when there is none. Raises OSError."""
    try:
        status = Path(path).stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def size(path: str) -> int:
    """In bytes; 0 where there is none. Raises OSError."""
    try:
        return Path(path).stat().st_size
    except FileNotFoundError:
        return 0


def make_folder(path: str) -> None:
    """The folder that the file is in. Raises OSError."""
    Path(path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)


def make_file(path: str) -> Identity | None:
    """An empty file where there is none; which one it is. Raises OSError.

    What an earlier file of that name left beside it goes: a process that still has the old one open would
    otherwise share its `-shm` with the new one.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return identity(path)
    os.close(descriptor)
    for suffix in SIDECARS:
        with contextlib.suppress(FileNotFoundError):
            Path(path + suffix).unlink()
    return identity(path)


def is_writable(path: str) -> bool:
    """Asked without opening it, since closing it again would drop SQLite's locks on it in this process."""
    return os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids)


def sidecars(path: str) -> dict[str, Identity | None]:
    """Which files SQLite keeps beside it."""
    return {path + suffix: identity(path + suffix) for suffix in SIDECARS}


def remove_if_same(files: dict[str, Identity | None]) -> None:
    """Those that are still the ones they were. Raises OSError."""
    for path, which in files.items():
        if which is not None and identity(path) == which:
            Path(path).unlink()
