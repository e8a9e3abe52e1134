"""What an attempt came to, and when the next one comes. Contract section 4. No I/O, no clock, no chance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from kirimhook.contract.resources import DeliveryStatus
from kirimhook.contract.retry import Dead, Gone, RetryLater, Succeeded, Verdict, classify, delay_before
from kirimhook.sender.model import DeadReason, Move, after

SUCCEEDED = after(DeliveryStatus.PENDING, Move.SUCCEED)
FAILED = after(DeliveryStatus.PENDING, Move.FAIL)
DEAD = after(DeliveryStatus.PENDING, Move.GIVE_UP)


class Answer(NamedTuple):
    """What came back from attempt `number` (1-based) at `at`, unix seconds. `status` is None where nothing did."""

    number: int
    status: int | None
    retry_after: str | None
    at: float


class Course(NamedTuple):
    """How a delivery is tried: at most so often, after these seconds each time."""

    max_attempts: int
    schedule: Sequence[float]


class Decision(NamedTuple):
    status: DeliveryStatus
    reason: DeadReason | None
    due_at: int | None
    """Milliseconds since the epoch: when the next attempt is due, where there is one."""
    why: str
    """Why and when there is another attempt, or why there is none."""


_DONE = Decision(SUCCEEDED, None, None, "Delivered.")


def decide(answer: Answer, course: Course, draw: float) -> Decision:
    """`draw` is from [0, 1): 0 is the earliest moment that the jitter allows."""
    verdict = classify(answer.status, answer.retry_after, answer.at)
    match verdict:
        case Succeeded():
            return _DONE
        case Gone():
            return Decision(DEAD, DeadReason.GONE, None, "410: the endpoint wants nothing any more.")
        case Dead():
            why = f"{answer.status}: another attempt would be answered the same."
            return Decision(DEAD, DeadReason.REJECTED, None, why)
    return _retry(answer, verdict, course, draw)


def _retry(answer: Answer, verdict: Verdict, course: Course, draw: float) -> Decision:
    at_least = verdict.at_least if isinstance(verdict, RetryLater) else 0.0
    following = answer.number + 1
    if following > course.max_attempts:
        why = f"Attempt {answer.number} was the last of {course.max_attempts}."
        return Decision(DEAD, DeadReason.ATTEMPTS_EXHAUSTED, None, why)
    step = min(following, len(course.schedule))  # a delivery can be older than a schedule that was shortened
    delay = delay_before(step, draw, at_least, course.schedule) or 0.0
    asked = " (Retry-After)" if delay == at_least > 0 else ""
    why = f"{_what(answer)}: attempt {following} of {course.max_attempts} comes {delay:.3g} s later{asked}."
    return Decision(FAILED, None, math.ceil((answer.at + delay) * 1000), why)


def _what(answer: Answer) -> str:
    return "No answer" if answer.status is None else str(answer.status)
