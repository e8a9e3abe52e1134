"""A secrets file that commands change stays one that receivers take, says what each secret is of, and loses nothing.

`receiver.secrets.listing`, which receivers read it with, is asked what is in it; a dict is the model of what should be.
"""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kirimhook.contract.signature import Secret
from kirimhook.operating.secrets_file import Entry, SecretsFile, SecretsFileError
from kirimhook.receiver.secrets import listing

ONE, OTHER = "wbs_01HXYZ", "wbs_02HXYZ"
SECRETS = [Secret(f"whsec_{letter * 43}=") for letter in "ABCDEF"]
A, B, C = SECRETS[:3]

FOREIGN = st.sampled_from(["", "# of the old team", "#", "   # wbs_ without an id", "\t", "# wbs_03 sec_03 and more"])


def file_of(folder: Path, *lines: str) -> SecretsFile:
    file = SecretsFile(folder / "secrets.txt")
    file.path.write_text("".join(f"{line}\n" for line in lines))
    return file


def loaded(file: SecretsFile) -> set[Secret]:
    """What a receiver takes from it."""
    return set(listing.from_file(file.path.read_bytes(), ()))


def test_a_new_file_is_its_owners_only_and_says_what_the_secret_is_of(tmp_path: Path) -> None:
    file = SecretsFile(tmp_path / "secrets.txt")

    file.add(A, ONE, "sec_1")

    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert file.path.read_text() == f"# {ONE} sec_1\n{A.reveal()}\n"
    assert file.entries() == [Entry(A, ONE, "sec_1")]


def test_a_secret_without_a_comment_belongs_to_nobody_in_particular(tmp_path: Path) -> None:
    file = file_of(tmp_path, A.reveal(), "", f"# {ONE} sec_2", B.reveal(), C.reveal())

    assert file.entries() == [Entry(A), Entry(B, ONE, "sec_2"), Entry(C)]


def test_what_is_there_is_said_to_be_of_the_subscription_from_then_on(tmp_path: Path) -> None:
    file = file_of(tmp_path, A.reveal(), B.reveal())

    file.add(A, ONE, "sec_1")
    before = file.path.stat()
    file.add(A, ONE, "sec_1")
    after = file.path.stat()

    assert file.entries() == [Entry(B), Entry(A, ONE, "sec_1")]
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)  # nothing was written


def test_a_last_line_without_a_newline_stays_a_line_of_its_own(tmp_path: Path) -> None:
    file = file_of(tmp_path)
    file.path.write_text(A.reveal())

    file.add(B, ONE, "sec_2")

    assert loaded(file) == {A, B}


def test_lines_of_another_system_keep_their_ends(tmp_path: Path) -> None:
    file = file_of(tmp_path)
    file.path.write_bytes(b"\xef\xbb\xbf# ours\r\n" + A.reveal().encode() + b"\r\n")

    file.add(B, ONE, "sec_2")
    file.drop([B])

    assert file.path.read_bytes() == b"\xef\xbb\xbf# ours\r\n" + A.reveal().encode() + b"\r\n"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "it holds no secret"),
        (b"# nothing yet\n\n", "it holds no secret"),
        (A.reveal().encode()[:20], "entry 1 is not a secret"),
        (A.reveal().encode() + b"\n" + B.reveal().encode()[:40], "half-written"),
        (b"\xff\xfe\n" + A.reveal().encode(), "it is not UTF-8 text"),
        (b"# " + b"x" * 70_000, "larger than 65536 bytes"),
    ],
)
def test_what_receivers_would_not_take_is_neither_read_nor_changed(
    tmp_path: Path, content: bytes, problem: str
) -> None:
    file = file_of(tmp_path)
    file.path.write_bytes(content)

    with pytest.raises(SecretsFileError, match=problem) as refused:
        file.entries()
    with pytest.raises(SecretsFileError, match=problem):
        file.drop([C])

    assert str(refused.value).startswith(f"{file.path}: ")
    assert A.reveal()[6:20] not in str(refused.value)
    assert file.path.read_bytes() == content


@pytest.mark.parametrize("content", [b"", b"# nothing yet\n"])
def test_a_secret_can_be_added_to_a_file_that_holds_none(tmp_path: Path, content: bytes) -> None:
    file = file_of(tmp_path)
    file.path.write_bytes(content)

    file.add(A, ONE, "sec_1")

    assert file.path.read_bytes() == content + f"# {ONE} sec_1\n{A.reveal()}\n".encode()


def test_a_secret_is_not_added_to_what_may_be_half_written(tmp_path: Path) -> None:
    file = file_of(tmp_path)
    file.path.write_bytes(b"\xffwhsec_")

    with pytest.raises(SecretsFileError, match="not UTF-8"):
        file.add(A, ONE, "sec_1")

    assert file.path.read_bytes() == b"\xffwhsec_"


def test_the_last_secret_stays(tmp_path: Path) -> None:
    file = file_of(tmp_path, A.reveal())

    with pytest.raises(SecretsFileError, match="it holds no secret"):
        file.drop([A])

    assert loaded(file) == {A}


def test_a_file_never_grows_past_what_receivers_take(tmp_path: Path) -> None:
    many = [f"whsec_{number:043d}=" for number in range(listing.MAX_SECRETS)]
    file = file_of(tmp_path, *many)

    with pytest.raises(SecretsFileError, match="65 secrets, more than 64"):
        file.add(A, ONE, "sec_1")

    assert file.path.read_text().split() == many


@pytest.mark.parametrize("ids", [("wbs_1", "sec_1\nwhsec_"), ("", "sec_1"), ("wbs_1", "")])
def test_ids_that_no_comment_carries_are_refused(tmp_path: Path, ids: tuple[str, str]) -> None:
    file = file_of(tmp_path, A.reveal())

    with pytest.raises(ValueError, match="the id of a subscription"):
        file.add(B, *ids)

    assert loaded(file) == {A}


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    file = SecretsFile(tmp_path / "none")

    for use in (file.entries, lambda: file.drop([A])):
        with pytest.raises(SecretsFileError, match="none: there is no such file"):
            use()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(SecretsFileError, match="it cannot be written: No such file or directory"):
        SecretsFile(tmp_path / "missing" / "secrets.txt").add(A, ONE, "sec_1")
    with pytest.raises(SecretsFileError, match="it cannot be read: Is a directory"):
        SecretsFile(tmp_path).add(A, ONE, "sec_1")


CHANGES = st.lists(
    st.tuples(st.sampled_from(["add", "drop"]), st.sampled_from(SECRETS), st.sampled_from([ONE, OTHER])), max_size=12
)


@settings(max_examples=60, deadline=None)
@given(foreign=st.lists(FOREIGN, max_size=5), changes=CHANGES)
def test_whatever_is_added_and_dropped_the_file_holds_it_and_every_line_of_others(
    tmp_path_factory: pytest.TempPathFactory, foreign: list[str], changes: list[tuple[str, Secret, str]]
) -> None:
    file = file_of(tmp_path_factory.mktemp("histories"), *foreign, A.reveal())
    model: dict[Secret, str | None] = {A: None}
    for verb, secret, subscription in changes:
        if verb == "add":
            file.add(secret, subscription, f"sec_{secret.fingerprint}")
            model[secret] = subscription
        elif model.keys() != {secret}:
            file.drop([secret])
            model.pop(secret, None)

    assert {entry.secret: entry.subscription_id for entry in file.entries()} == model
    assert loaded(file) == model.keys()
    assert [line for line in file.path.read_text().split("\n")[: len(foreign)] if line] == [f for f in foreign if f]


ADDER = """
import sys
from kirimhook.contract.signature import Secret
from kirimhook.operating.secrets_file import SecretsFile
for number in range(8):
    value = Secret(f"whsec_{sys.argv[2] * 40}{number:04d}")
    SecretsFile(sys.argv[1]).add(value, "wbs_1", f"sec_{sys.argv[2]}{number}")
"""


def test_commands_at_one_time_lose_nothing_of_each_other(tmp_path: Path) -> None:
    file = file_of(tmp_path, A.reveal())
    adders = [subprocess.Popen([sys.executable, "-c", ADDER, str(file.path), letter]) for letter in "xyz"]

    assert [adder.wait(30) for adder in adders] == [0, 0, 0]

    assert len(loaded(file)) == 1 + 3 * 8
