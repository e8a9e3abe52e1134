"""What reconciling remembers outlives it, and its budget is of a rolling hour."""

from __future__ import annotations

import stat
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kirimhook.operating.reconciling.memory import HOUR_MS, Memory
from kirimhook.operating.reconciling.plan import Wanted
from kirimhook.operating.reconciling.states import State
from kirimhook.operating.reconciling.troubles import Told
from kirimhook.operating.reconciling.verdicts import Verdict
from tests.operating.reconciling.letters import dead, delivery_id


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "memory.db"


def test_it_is_there_again_and_its_owners_only(path: Path) -> None:
    with Memory(path) as memory:
        memory.begin(100, 0)
        memory.note([Wanted(dead(1), 0, born=5), Wanted(dead(2), 0)], at=101)
        memory.tell(Told(frozenset({State.UNHEALTHY}), {Verdict.PARKED: 3}))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with Memory(path) as memory:
        assert memory.replayed([delivery_id(serial) for serial in range(2000)]) == {delivery_id(1), delivery_id(2)}
        assert (memory.born(delivery_id(1)), memory.born(delivery_id(2)), memory.born(delivery_id(3))) == (
            5,
            None,
            None,
        )
        assert memory.first(dead(1).subject) == 5
        assert memory.told() == Told(frozenset({State.UNHEALTHY}), {Verdict.PARKED: 3})


def test_it_says_nothing_of_whom_an_event_is_about(path: Path) -> None:
    with Memory(path) as memory:
        memory.begin(1, 0)
        memory.note([Wanted(dead(event_id="wamid.HBgMNjI4MTIzNDU2Nzg5"), 0)], at=1)
    assert b"wamid" not in path.read_bytes()


def test_an_event_is_counted_once_a_run_however_many_of_its_letters_are_replayed(path: Path) -> None:
    statuses = [Wanted(dead(serial, event_id="wamid.A", event_type="message.status"), 0) for serial in range(6)]
    with Memory(path) as memory:
        memory.begin(1, 0)
        memory.note(statuses[:3], at=1)
        memory.begin(2, 0)
        memory.note(statuses[3:5], at=2)
        memory.begin(2, 0)
        memory.note(statuses[5:], at=3)
        assert memory.rounds({statuses[0].letter.subject, b"unknown"}) == {statuses[0].letter.subject: 2}


def test_however_often_it_is_replayed_while_the_endpoint_takes_nothing_is_one_round(path: Path) -> None:
    letters = [Wanted(dead(serial, event_id="evt_1"), 0) for serial in range(6)]
    subject = letters[0].letter.subject
    with Memory(path) as memory:
        for serial in range(4):
            memory.begin(100 + serial, epoch=50)
            memory.note([letters[serial]], at=100 + serial, in_vain=True)
        assert (memory.rounds({subject}), memory.tries({subject})) == ({subject: 1}, {subject: 4})
        memory.begin(200, epoch=150)
        assert (memory.rounds({subject}), memory.tries({subject})) == ({subject: 1}, {})
        memory.note([letters[4]], at=200, in_vain=True)
        assert (memory.rounds({subject}), memory.tries({subject})) == ({subject: 2}, {subject: 1})
        memory.note([letters[4]], at=201)  # another was taken: it was this one's own fault
        assert (memory.rounds({subject}), memory.tries({subject})) == ({subject: 2}, {})


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # each history gets a file of its own
@given(st.lists(st.integers(0, 3 * HOUR_MS), max_size=30), st.integers(1, 6), st.integers(0, 3 * HOUR_MS))
def test_there_is_room_again_when_few_enough_are_in_the_hour(
    tmp_path_factory: pytest.TempPathFactory, times: list[int], budget: int, now: int
) -> None:
    past = sorted(at for at in times if at <= now)
    with Memory(tmp_path_factory.mktemp("room") / "memory.db") as memory:
        for serial, at in enumerate(past):
            memory.begin(at, 0)
            memory.note([Wanted(dead(serial), 0)], at=at)
        assert memory.spent(now) == sum(now - at < HOUR_MS for at in past)
        room_at = memory.room_at(budget, now)
        assert (room_at == now) == (memory.spent(now) < budget)
        assert memory.spent(room_at) < budget
        assert room_at == now or memory.spent(room_at - 1) >= budget


def test_what_is_past_is_forgotten(path: Path) -> None:
    with Memory(path) as memory:
        for serial in range(4):
            memory.begin(serial, 0)
            memory.note([Wanted(dead(serial), 0)], at=serial)
        memory.forget(2)
        kept = Counter(memory.replayed([delivery_id(serial) for serial in range(4)]))
    assert kept == Counter([delivery_id(2), delivery_id(3)])
