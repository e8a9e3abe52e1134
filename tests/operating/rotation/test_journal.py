"""What is kept of a rotation comes back as it was, is its owner's only, and is never taken for what it is not."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kirimhook.operating.rotation import Journal, JournalFile, RotationError, Step

TEXT = st.text("abcdef0123456789_-", min_size=1, max_size=20)
TEXTS = st.lists(TEXT, max_size=3).map(tuple)
TIMES = st.none() | st.floats(0, 2e9)
JOURNALS = st.builds(
    Journal,
    subscription_id=TEXT,
    step=st.sampled_from(Step),
    key=TEXT,
    before=TEXTS,
    old=TEXTS,
    unsaid=TEXTS,
    posted_at=TIMES,
    added_at=TIMES,
    new_id=st.none() | TEXT,
    new_fingerprint=st.none() | TEXT,
)
ONE = Journal("wbs_1", Step.ADD, "key", ("sec_1",), ("fingerprint",))


@given(journal=JOURNALS)
def test_what_was_written_comes_back(tmp_path_factory: pytest.TempPathFactory, journal: Journal) -> None:
    file = JournalFile(tmp_path_factory.mktemp("journals") / "secrets.txt.rotation")

    file.save(journal)

    assert file.load() == journal
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600


def test_no_file_is_no_rotation(tmp_path: Path) -> None:
    file = JournalFile(tmp_path / "secrets.txt.rotation")
    assert file.load() is None
    file.save(ONE)
    file.remove()
    assert file.load() is None


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        "\xff",
        '{"version": 1}',
        '{"version": 2, "subscription_id": "wbs_1"}',
        json.dumps({"version": 1, "subscription_id": "wbs_1", "step": "fly", "before": [], "old": [], "unsaid": []}),
    ],
)
def test_what_is_no_journal_is_named_and_left_alone(tmp_path: Path, content: str) -> None:
    file = JournalFile(tmp_path / "secrets.txt.rotation")
    file.path.write_bytes(content.encode("latin-1"))

    with pytest.raises(RotationError, match=r"secrets\.txt\.rotation: it is not what this version writes"):
        file.load()

    assert file.path.read_bytes() == content.encode("latin-1")


def test_a_place_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    file = JournalFile(tmp_path / "file" / "secrets.txt.rotation")

    for use, what in ((file.load, "read"), (lambda: file.save(ONE), "written"), (file.remove, "removed")):
        with pytest.raises(RotationError, match=f"it cannot be {what}: Not a directory"):
            use()
