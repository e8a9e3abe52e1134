"""The judges of the crash tests: each finds the fault that it is there for, and no other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.crash import journal
from tests.crash.journal import BEGIN, END, Entry, Fault

HERE, ELSEWHERE = 1, 2
"""Processes."""


def entry(word: str, number: int, at: float, process: int = HERE, key: str = "key") -> Entry:
    return Entry(word, number, str(number), key, process, at)


def ran(number: int, at: float, process: int = HERE, key: str = "key") -> list[Entry]:
    """Begun at this moment, ended a second later."""
    return [entry(BEGIN, number, at, process, key), entry(END, number, at + 1, process, key)]


HANDLED_AGAIN = [*ran(1, 0), *ran(2, 2), *ran(1, 10, ELSEWHERE), *ran(2, 12, ELSEWHERE)]
CUT_OFF = [entry(BEGIN, 1, 0), *ran(1, 10, ELSEWHERE)]
OVERLAP = [entry(BEGIN, 1, 0), *ran(1, 0.5, ELSEWHERE), entry(END, 1, 2)]
OVERTAKING = [*ran(2, 0), *ran(1, 2)]
OVERTAKING_AGAIN = [entry(BEGIN, 1, 0), *ran(2, 2), *ran(1, 10)]
KILLED = Fault(5, 5.1, HERE)
OTHER_KILLED = Fault(5, 5.1, ELSEWHERE)
OUTAGE = Fault(4, 9)
EARLIER = Fault(-2, -1, HERE)


@pytest.mark.parametrize("entries", [HANDLED_AGAIN, CUT_OFF, [*ran(2, 0, key="other"), *ran(1, 2)]])
def test_handling_again_is_no_overtaking(entries: list[Entry]) -> None:
    assert journal.overtaken(entries) == []


@pytest.mark.parametrize("entries", [OVERTAKING, OVERTAKING_AGAIN])
def test_an_overtaking_is_found(entries: list[Entry]) -> None:
    assert [wrong.number for wrong in journal.overtaken(entries)] == [2]


@pytest.mark.parametrize("faults", [[KILLED], [OUTAGE], [OTHER_KILLED, KILLED]])
def test_a_fault_explains_that_events_are_handled_again(faults: list[Fault]) -> None:
    assert journal.unexplained(HANDLED_AGAIN, faults) == []


@pytest.mark.parametrize("faults", [[], [OTHER_KILLED], [EARLIER]])
def test_what_nothing_explains_is_found(faults: list[Fault]) -> None:
    assert journal.unexplained(HANDLED_AGAIN, faults) == [HANDLED_AGAIN[4], HANDLED_AGAIN[6]]


@pytest.mark.parametrize(
    ("entries", "faults", "found"),
    [(CUT_OFF, [KILLED], 0), (CUT_OFF, [], 1), (CUT_OFF, [OUTAGE], 1), (OVERLAP, [KILLED], 1), (HANDLED_AGAIN, [], 0)],
)
def test_two_handlers_of_one_key_at_once_are_found(entries: list[Entry], faults: Sequence[Fault], found: int) -> None:
    assert len(journal.overlapping(entries, faults)) == found


def test_a_tail_reads_on(tmp_path: Path) -> None:
    file = tmp_path / "journal"
    tail = journal.Tail(file)
    assert tail.look() == set()
    file.write_text("begin 1 one key 7 1.0\nend 1 one key 7 1.5\nend 2 tw")
    assert tail.look() == {"one"}
    with file.open("a") as more:
        more.write("o key 7 2.0\n")
    assert tail.look() == {"one", "two"}
