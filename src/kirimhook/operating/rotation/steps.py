"""The steps of a rotation, and the table of what can follow what. Contract section 7, guide step 7."""

from __future__ import annotations

from enum import StrEnum


class Step(StrEnum):
    """What is being done. It is written down before it is begun, and can be done again from its beginning."""

    ADD = "add"
    """The subscription gets another secret, which goes into the file beside the old ones."""
    LOAD = "load"
    """Every process of every receiver has it."""
    CONFIRM = "confirm"
    """Every receiver has verified a delivery with it."""
    SETTLE = "settle"
    """What was signed with the old ones alone is answered, or has timed out."""
    RETIRE = "retire"
    """The subscription loses the old ones."""
    DROP = "drop"
    """The file loses the old ones, and so does every receiver."""
    TAKE_BACK = "take_back"
    """The subscription loses the new one."""
    UNWRITE = "unwrite"
    """The file loses the new one."""
    ROTATED = "rotated"
    ROLLED_BACK = "rolled_back"


class Move(StrEnum):
    """What can happen to a rotation."""

    DONE = "done"
    """The step is done."""
    AGAIN = "again"
    """It was interrupted: what receivers said then may no longer hold, and others may be named now."""
    ABORT = "abort"


TRANSITIONS: dict[tuple[Step, Move], Step] = {
    (Step.ADD, Move.DONE): Step.LOAD,
    (Step.ADD, Move.AGAIN): Step.ADD,
    (Step.ADD, Move.ABORT): Step.TAKE_BACK,
    (Step.LOAD, Move.DONE): Step.CONFIRM,
    (Step.LOAD, Move.AGAIN): Step.LOAD,
    (Step.LOAD, Move.ABORT): Step.TAKE_BACK,
    (Step.CONFIRM, Move.DONE): Step.SETTLE,
    (Step.CONFIRM, Move.AGAIN): Step.LOAD,
    (Step.CONFIRM, Move.ABORT): Step.TAKE_BACK,
    (Step.SETTLE, Move.DONE): Step.RETIRE,
    (Step.SETTLE, Move.AGAIN): Step.LOAD,
    (Step.SETTLE, Move.ABORT): Step.TAKE_BACK,
    (Step.RETIRE, Move.DONE): Step.DROP,
    (Step.RETIRE, Move.AGAIN): Step.RETIRE,
    (Step.DROP, Move.DONE): Step.ROTATED,
    (Step.DROP, Move.AGAIN): Step.DROP,
    (Step.TAKE_BACK, Move.DONE): Step.UNWRITE,
    (Step.TAKE_BACK, Move.ABORT): Step.TAKE_BACK,
    (Step.UNWRITE, Move.DONE): Step.ROLLED_BACK,
    (Step.UNWRITE, Move.ABORT): Step.UNWRITE,
}
"""From RETIRE on there is no way back: an old secret may be gone. Once taken back, a rotation does not go on."""

ENDED = frozenset(TRANSITIONS.values()) - {step for step, _ in TRANSITIONS}
"""Nothing is written down of these."""


class IllegalMove(Exception):
    """A move that `TRANSITIONS` does not have."""


def after(step: Step, move: Move) -> Step:
    """The step that `move` leads to. Raises `IllegalMove`."""
    try:
        return TRANSITIONS[step, move]
    except KeyError:
        raise IllegalMove(f"a rotation at {step} has no {move}") from None


def can_abort(step: Step) -> bool:
    """Whether there is a way back."""
    return (step, Move.ABORT) in TRANSITIONS
