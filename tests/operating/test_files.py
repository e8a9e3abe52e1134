"""A small file is the old one or the new one, keeps who may read it, and is one process's at a time."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from kirimhook.operating.files import HeldError, remove, state_folder, turn, write_atomically

HOLDER = """
import sys
from pathlib import Path
from kirimhook.operating.files import turn
with turn(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_file_is_its_owners_only(tmp_path: Path) -> None:
    write_atomically(tmp_path / "new", b"content")

    assert ((tmp_path / "new").read_bytes(), mode_of(tmp_path / "new")) == (b"content", 0o600)


def test_a_file_that_is_there_keeps_its_mode_and_its_owner(tmp_path: Path) -> None:
    file = tmp_path / "shared"
    file.write_bytes(b"old")
    file.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(file, 12345, 54321)
    before = file.stat()

    write_atomically(file, b"new")

    after = file.stat()
    assert file.read_bytes() == b"new"
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert after.st_ino != before.st_ino  # another file took its place: nobody reads half of one


def test_a_link_goes_on_naming_what_it_named(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")

    write_atomically(tmp_path / "link", b"new")

    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


def test_what_cannot_be_written_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "kept"
    file.write_bytes(b"old")

    with pytest.raises(TypeError):
        write_atomically(file, "no bytes")  # type: ignore[arg-type]  # it fails after its file was made

    assert file.read_bytes() == b"old"
    assert [found.name for found in tmp_path.iterdir()] == ["kept"]


def test_removing_what_is_not_there_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "there").touch()

    remove(tmp_path / "there")
    remove(tmp_path / "there")

    assert list(tmp_path.iterdir()) == []


def test_a_turn_is_one_process_at_a_time_and_ends_with_it(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(HeldError), turn(lock):
            pytest.fail("two processes have one turn")
        holder.kill()
    with turn(lock):
        assert lock.exists()


def test_state_goes_where_it_is_told_for_its_owner_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.delenv("KIRIMHOOK_STATE", raising=False)
    assert state_folder() == tmp_path / "home/.local/state/kirimhook"
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    assert state_folder() == tmp_path / "xdg/kirimhook"
    monkeypatch.setenv("KIRIMHOOK_STATE", str(tmp_path / "own"))
    assert state_folder() == tmp_path / "own"
    assert mode_of(tmp_path / "own") == 0o700
