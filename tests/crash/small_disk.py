"""A disk of a few megabytes that can be filled to the last byte, and emptied again."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

MOUNT = """
mount -t tmpfs -o size=$1m,mode=0755 tmpfs "$2" && echo mounted || exit 1
cat > /dev/null
umount -l "$2"
"""
"""Mounts, says so, and unmounts when whoever holds our standard input has gone."""
MINE = ("unshare", "--user", "--map-root-user", "--mount")
"""Whoever is not root mounts it where only this process sees it, and those who look through its eyes."""
BLOCK = 4096


class NoSmallDisk(Exception):
    """Neither root, nor allowed to have mounts of one's own."""


@cache
def can_mount() -> bool:
    """Whether there can be a small disk."""
    try:
        with small_disk(1):
            return True
    except NoSmallDisk:
        return False


class SmallDisk:
    """`folder` is all of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        """Nobody else finds a byte on it."""
        with self._ballast.open("ab", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(BLOCK))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise

    def make_room(self) -> None:
        self._ballast.unlink()


@contextmanager
def small_disk(megabytes: int) -> Iterator[SmallDisk]:
    """Raises NoSmallDisk."""
    point = Path(tempfile.mkdtemp(prefix="kirimhook-disk-"))
    point.chmod(0o755)
    wrapper = MINE if os.geteuid() else ()
    mounted = subprocess.Popen(
        [*wrapper, "sh", "-c", MOUNT, "sh", str(megabytes), str(point)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert mounted.stdout is not None
    try:
        said = mounted.stdout.readline().strip()
        if said != "mounted":
            raise NoSmallDisk(said)
        yield SmallDisk(Path(f"/proc/{mounted.pid}/root{point}") if wrapper else point)
    finally:
        mounted.communicate()
        shutil.rmtree(point, ignore_errors=True)
