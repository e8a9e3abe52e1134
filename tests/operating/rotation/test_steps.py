"""Every step leads to an end, can be gone on with, and has a way back until a deletion may have been asked for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kirimhook.operating.rotation import Move, Step, can_abort
from kirimhook.operating.rotation.course import WORK
from kirimhook.operating.rotation.steps import ENDED, TRANSITIONS, IllegalMove, after

UNDER_WAY = sorted(set(Step) - ENDED)


def test_every_step_has_its_work_and_no_end_has_any() -> None:
    assert WORK.keys() == set(UNDER_WAY)
    assert {Step.ROTATED, Step.ROLLED_BACK} == ENDED


@pytest.mark.parametrize("step", UNDER_WAY)
def test_work_that_is_done_leads_to_an_end(step: Step) -> None:
    seen = [step]
    while seen[-1] not in ENDED:
        seen.append(after(seen[-1], Move.DONE))
    assert len(seen) == len(set(seen))


@pytest.mark.parametrize("step", UNDER_WAY)
def test_what_was_interrupted_goes_on_one_way(step: Step) -> None:
    is_undone = step in {Step.TAKE_BACK, Step.UNWRITE}
    assert ((step, Move.AGAIN) in TRANSITIONS) is not is_undone
    assert can_abort(step) is (is_undone or step in {Step.ADD, Step.LOAD, Step.CONFIRM, Step.SETTLE})


@given(st.lists(st.sampled_from(Move), max_size=30))
def test_no_history_deletes_old_and_new_or_the_old_without_proof(moves: list[Move]) -> None:
    """RETIRE deletes the old ones, TAKE_BACK the new one; LOAD, CONFIRM and SETTLE prove, one after the other."""
    step, history = Step.ADD, [Step.ADD]
    for move in moves:
        if (step, move) in TRANSITIONS:
            step = after(step, move)
            history.append(step)
        else:
            with pytest.raises(IllegalMove, match=f"a rotation at {step} has no {move}"):
                after(step, move)
    assert not {Step.RETIRE, Step.TAKE_BACK} <= set(history)
    if Step.RETIRE in history:
        first = history.index(Step.RETIRE)
        assert history[first - 3 : first] == [Step.LOAD, Step.CONFIRM, Step.SETTLE]
