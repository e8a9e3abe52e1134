"""The table of what can become of a delivery: what it does not have is one error; what is final stays so."""

from __future__ import annotations

import itertools

import pytest

from kirimhook.sender.model import OPEN, TRANSITIONS, DeliveryStatus, IllegalMove, Move, after

FINAL = {DeliveryStatus.SUCCEEDED, DeliveryStatus.DEAD}


@pytest.mark.parametrize(("status", "move"), list(itertools.product(DeliveryStatus, Move)))
def test_a_move_is_in_the_table_or_an_error(status: DeliveryStatus, move: Move) -> None:
    if status in FINAL:
        with pytest.raises(IllegalMove, match=f"^a delivery that is {status} cannot {move}$"):
            after(status, move)
    else:
        ends = {Move.SUCCEED: "succeeded", Move.FAIL: "failed", Move.GIVE_UP: "dead", Move.DROP: "dead"}
        assert after(status, move) == ends[move]


def test_what_is_open_and_what_is_final_are_all_there_is() -> None:
    assert set(DeliveryStatus) == OPEN | FINAL
    assert not OPEN & FINAL
    assert not any(status in FINAL for status, _ in TRANSITIONS)
