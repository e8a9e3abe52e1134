"""Small files that must never be half-written, and the turn that one process at a time has with them."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

OWNER_ONLY = 0o600
STATE_VARIABLE = "KIRIMHOOK_STATE"


class HeldError(Exception):
    """Another process has this turn."""


def state_folder() -> Path:
    """Where commands keep what they need to go on after an interruption; made for its owner only. Raises OSError.

    `$KIRIMHOOK_STATE`, else `$XDG_STATE_HOME/kirimhook`, else `~/.local/state/kirimhook`.
    """
    given, base = os.environ.get(STATE_VARIABLE), os.environ.get("XDG_STATE_HOME")
    folder = Path(given) if given else (Path(base) if base else Path.home() / ".local" / "state") / "kirimhook"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def write_atomically(path: Path, content: bytes) -> None:
    """The old content or the new one, whatever happens; on disk when this returns. Raises OSError.

    A file that is there keeps its mode and owner (what a link names is replaced, not the link); a new one is its
    owner's only.
    """
    target = path.resolve()
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            _take_after(descriptor, target)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        Path(name).replace(target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(name).unlink()
        raise
    sync_folder(target.parent)


def remove(path: Path) -> None:
    """For good: on disk when this returns. One that is not there is no error. Raises OSError."""
    path.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """What was created, renamed and removed in it survives a power cut. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def turn(path: Path) -> Iterator[None]:
    """One process at a time, by a lock on this file, which is made and stays. Raises HeldError, OSError.

    The system lets go of it when the process ends, however it ends.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, OWNER_ONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise HeldError(f"another process holds {path}") from None
        yield
    finally:
        os.close(descriptor)


def _take_after(descriptor: int, target: Path) -> None:
    try:
        status = target.stat()
    except FileNotFoundError:
        return
    os.fchmod(descriptor, status.st_mode & 0o777)
    if (status.st_uid, status.st_gid) != (os.geteuid(), os.getegid()):
        os.fchown(descriptor, status.st_uid, status.st_gid)
