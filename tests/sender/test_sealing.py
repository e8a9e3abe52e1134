"""Master keys: where they come from, what they open, what is refused, and that nothing shows them."""

from __future__ import annotations

import os
import pickle
import threading
from pathlib import Path

import pytest

from kirimhook.sender import sealing
from kirimhook.sender.sealing import ENVIRONMENT_VARIABLE, MasterKeyError, Sealer

OLD, NEW = Sealer.new_key(), Sealer.new_key()


def test_the_first_key_seals_and_every_key_opens() -> None:
    sealed = Sealer([OLD]).seal(b"plain")
    assert b"plain" not in sealed
    both = Sealer([NEW, OLD])
    assert both.open(sealed) == b"plain"
    assert Sealer([NEW]).open(both.seal(b"plain")) == b"plain"
    with pytest.raises(MasterKeyError):
        Sealer([OLD]).open(both.seal(b"plain"))


def test_what_was_altered_does_not_open() -> None:
    sealed = bytearray(Sealer([OLD]).seal(b"plain"))
    for place in (0, 20, len(sealed) // 2, len(sealed) - 3):
        altered = bytes([*sealed[:place], sealed[place] ^ 1, *sealed[place + 1 :]])
        with pytest.raises(MasterKeyError):
            Sealer([OLD]).open(altered)


def test_sealing_anew_is_done_once() -> None:
    both = Sealer([NEW, OLD])
    anew = both.resealed(Sealer([OLD]).seal(b"plain"))
    assert anew is not None
    assert Sealer([NEW]).open(anew) == b"plain"
    assert both.resealed(anew) is None
    with pytest.raises(MasterKeyError):
        Sealer([NEW]).resealed(Sealer([OLD]).seal(b"plain"))


def test_derived_keys_differ_by_purpose_and_by_master_key() -> None:
    both = Sealer([NEW, OLD])
    assert both.derived("a") == (*Sealer([NEW]).derived("a"), *Sealer([OLD]).derived("a"))
    derived = {*both.derived("a"), *both.derived("b")}
    assert len(derived) == 4
    assert {len(key) for key in derived} == {32}


@pytest.mark.parametrize("keys", [[], ["short"], [OLD[:-4]], [OLD, "x" * 44], ["é" * 44], [OLD + "AAAA"], [""]])
def test_what_is_no_key_is_refused_and_not_quoted(keys: list[str]) -> None:
    with pytest.raises(MasterKeyError) as caught:
        Sealer(keys)
    assert not [key for key in keys if len(key) > 4 and key in str(caught.value)]


def test_a_sealer_shows_no_key() -> None:
    sealer = Sealer([OLD, NEW])
    shown = f"{sealer} {sealer!r} {vars(type(sealer)).get('__dict__')}"
    assert OLD not in shown
    assert NEW not in shown
    with pytest.raises(TypeError):
        pickle.dumps(sealer)


def test_the_environment_comes_first(tmp_path: Path) -> None:
    file = tmp_path / "master.key"
    sealer = sealing.load({ENVIRONMENT_VARIABLE: f" {NEW} , {OLD},"}, file)
    assert not file.exists()
    assert Sealer([NEW]).open(sealer.seal(b"plain")) == b"plain"
    assert sealer.open(Sealer([OLD]).seal(b"plain")) == b"plain"
    with pytest.raises(MasterKeyError, match=ENVIRONMENT_VARIABLE):
        sealing.load({ENVIRONMENT_VARIABLE: "nonsense"}, file)
    with pytest.raises(MasterKeyError, match=ENVIRONMENT_VARIABLE):
        sealing.load({ENVIRONMENT_VARIABLE: " "})


def test_a_file_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "master.key"
    sealed = sealing.load({}, file).seal(b"plain")
    assert file.stat().st_mode & 0o777 == 0o600
    assert sealing.load({}, file).open(sealed) == b"plain"
    assert [path.name for path in tmp_path.iterdir()] == ["master.key"]


def test_a_file_can_hold_the_keys_of_a_rotation(tmp_path: Path) -> None:
    file = tmp_path / "master.key"
    sealed = sealing.load({}, file).seal(b"plain")
    file.write_text(f"{NEW}\n\n{file.read_text()}")
    sealer = sealing.load({}, file)
    assert sealer.open(sealed) == b"plain"
    assert Sealer([NEW]).open(sealer.seal(b"plain")) == b"plain"


def test_processes_that_start_together_have_one_key(tmp_path: Path) -> None:
    file, together = tmp_path / "master.key", threading.Barrier(8)
    sealed: list[bytes] = []

    def start() -> None:
        together.wait(10)
        sealed.append(sealing.load({}, file).seal(b"plain"))

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    sealer = sealing.load({}, file)
    assert [sealer.open(one) for one in sealed] == [b"plain"] * 8
    assert [path.name for path in tmp_path.iterdir()] == ["master.key"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o602, 0o610])
def test_a_file_that_others_can_use_is_refused(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "master.key"
    sealing.load({}, file)
    file.chmod(mode)
    with pytest.raises(MasterKeyError, match="chmod 600"):
        sealing.load({}, file)


def test_what_is_no_file_of_keys_is_refused(tmp_path: Path) -> None:
    empty, folder, large, pipe = [tmp_path / name for name in ("empty", "folder", "large", "pipe")]
    os.mkfifo(pipe, 0o600)
    empty.touch(0o600)
    folder.mkdir(0o700)
    large.touch(0o600)
    large.write_text("x" * 20_000)
    for path in (empty, folder, large, pipe, tmp_path / "missing" / "master.key"):
        with pytest.raises(MasterKeyError, match=str(path)):
            sealing.load({}, path)
