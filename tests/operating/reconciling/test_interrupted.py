"""A reconcile that is ended in the middle, by whatever, goes on where it was: nothing is replayed twice or left out."""

from __future__ import annotations

import signal
from collections import Counter

import pytest

from tests.crash.waiting import until
from tests.operating.reconciling.stand import Stand

EVENTS = tuple(f"evt_{serial}" for serial in range(40))


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM), (signal.SIGKILL, -signal.SIGKILL)]
)
def test_another_run_does_the_rest(stand: Stand, number: signal.Signals, code: int) -> None:
    stand.publish(*EVENTS)
    stand.died(len(EVENTS))
    stand.receive()
    with stand.reconciling("--rate", "10") as process:
        until(lambda: len(stand.replays()) > 5, "some are replayed")
        process.send_signal(number)
        said, _ = process.communicate(timeout=30)
    assert process.returncode == code
    assert (number is signal.SIGINT) == ("run it again" in said)
    assert 0 < len(stand.letters()) < len(EVENTS)
    ran = stand.reconcile()
    assert (ran.code, ran.data["left"]) == (0, 0)
    assert Counter(replay.event_id for replay in stand.replays()) == Counter(EVENTS)
    stand.handles(*EVENTS)
    stand.settled()


def test_two_at_a_time_do_not_meet(stand: Stand) -> None:
    stand.publish(*EVENTS)
    stand.died(len(EVENTS))
    stand.receive()
    with stand.reconciling("--rate", "10") as process:
        until(lambda: len(stand.replays()) > 1, "it has begun")
        other = stand.reconcile()
        assert other.code == 1
        assert other.errors == f"kirimhook: another process reconciles {stand.id} now\n"
        assert stand.reconcile("--dry-run").code == 0
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
