"""A snapshot on disk is whole or not there; after any crash it says what was recorded last; what is none is refused in
one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kirimhook.operating.replaying import Snapshot, SnapshotError, Tally, place
from kirimhook.operating.replaying.snapshot import Next

IDS = [f"wbd_{number}" for number in range(6)]
SUBSCRIPTION = "wbs_1"


def made(path: Path) -> Snapshot:
    return Snapshot.create(path, IDS, subscription_id=SUBSCRIPTION, about={"when": "now"})


def found(path: Path) -> Snapshot:
    snapshot = Snapshot.find(path)
    assert snapshot is not None
    return snapshot


def test_what_was_recorded_is_found_again(state: Path) -> None:
    path = place(SUBSCRIPTION)
    assert path.parent == state
    assert Snapshot.find(path) is None
    with made(path) as snapshot:
        first = snapshot.key()
        snapshot.record(Tally(replayed=2, gone=1), Next(2, True, 5.0))
        second = snapshot.key()
    with found(path) as again:
        assert (again.tally, again.next, again.left) == (Tally(2, 1), Next(2, True, 5.0), 3)
        assert (again.total, again.about, again.header.unreplayed) == (6, {"when": "now"}, True)
        assert again.is_resumed
        assert again.key() == second != first
        again.remove()
    assert Snapshot.find(path) is None
    assert place(SUBSCRIPTION, "other") != path


def test_it_is_its_owners_alone(tmp_path: Path) -> None:
    made(tmp_path / "it").close()
    assert (tmp_path / "it").stat().st_mode & 0o777 == 0o600


@given(st.data())
def test_cut_off_anywhere_it_is_the_last_whole_record_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("cut") / "it"
    with made(path) as snapshot:
        whole = len(path.read_bytes())
        ends = {whole: Tally()}
        for done in range(1, 5):
            snapshot.record(Tally(replayed=done), None)
            ends[len(path.read_bytes())] = Tally(replayed=done)
        content = path.read_bytes()
    cut = data.draw(st.integers(0, len(content)))
    path.write_bytes(content[:cut])
    if cut < whole:  # which no crash leaves: it is written whole
        with pytest.raises(SnapshotError):
            Snapshot.find(path)
        return
    with found(path) as again:
        assert again.tally == ends[max(end for end in ends if end <= cut)]
        again.record(Tally(replayed=5), None)
    with found(path) as once_more:
        assert once_more.tally == Tally(replayed=5)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}\n",
        b"[]\n",
        b"\xff\n",
        b'{"version":2,"name":"x","subscription_id":"wbs_1","status":"dead","unreplayed":true,"about":{},"total":0}\n',
        b'{"version":1,"name":"x","subscription_id":"wbs_1","status":"no","unreplayed":true,"about":{},"total":0}\n',
        b'{"version":1,"name":"x","subscription_id":"wbs_1","status":"dead","unreplayed":true,"about":{},"total":1}\n1\n',
    ],
)
def test_what_is_no_snapshot_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "it").write_bytes(content)
    with pytest.raises(SnapshotError) as refused:
        Snapshot.find(tmp_path / "it")
    assert "\n" not in str(refused.value)
