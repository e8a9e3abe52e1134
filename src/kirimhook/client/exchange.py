"""One call from beginning to end, as steps that a driver carries out: send this, wait so long. No I/O.

What may pass is tried again: no answer, 408, 429, 5xx, and a call with the same Idempotency-Key that is under way.
That is safe for every call there is: what is not idempotent by its method carries an Idempotency-Key.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeVar

from kirimhook.client.answers import Answer
from kirimhook.client.budget import Budget
from kirimhook.client.calls import Call
from kirimhook.client.errors import Refused, UnexpectedAnswer, Unreachable, refusal
from kirimhook.contract.retry import jittered, retry_after

T = TypeVar("T")

FIRST_WAIT = 0.25
"""Seconds before the first retry; twice as many before each further one, up to LONGEST_STEP, each ±20 %."""
LONGEST_STEP = 8.0
WHILE_UNDER_WAY = 2.0
"""Seconds at least, where the same call is under way: with four retries that outlasts the lease of one that died."""

_NOTHING_DONE = frozenset((408, 429))
_MAY_PASS = _NOTHING_DONE | {500, 502, 503, 504}
_UNDER_WAY = "idempotency_in_progress"


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a call is tried again, and the seconds that it waits at most each time because the API asks."""

    retries: int = 4
    longest_wait: float = 60.0

    def __post_init__(self) -> None:
        if self.retries < 0 or not self.longest_wait >= 0:
            raise ValueError("retries and longest_wait are 0 or more")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a call needs of the world: `now` in unix seconds, `draw` from [0, 1)."""

    patience: Patience
    budget: Budget
    now: Callable[[], float]
    draw: Callable[[], float]


@dataclass(frozen=True, slots=True)
class Send:
    """Carry this call out, once."""

    call: Call[Any]


@dataclass(frozen=True, slots=True)
class Wait:
    """Let these seconds pass. `why` is for people."""

    seconds: float
    why: str


@dataclass(frozen=True, slots=True)
class Lost:
    """No whole answer came. `was_sent`: it may have been carried out. `may_pass`: trying again may help."""

    why: str
    was_sent: bool
    may_pass: bool


Told = Answer | Lost | None
Steps = Generator[Send | Wait, Told, T]


def exchange(call: Call[T], around: Surroundings) -> Steps[T]:
    """The steps of this call; its result, once they are done. What is sent back for a Send is an Answer or Lost.

    Raises Refused, Unreachable, UnexpectedAnswer.
    """
    may_be_done, tried = False, 0
    while True:
        room = around.budget.wait(call.use, around.now())
        if room:
            yield Wait(min(room, around.patience.longest_wait), "the API has no room for another call")
        told = yield Send(call)
        if isinstance(told, Answer):
            around.budget.note(call.use, told, around.now())
            if told.is_success or (told.status == 404 and may_be_done and call.method == "DELETE"):
                return call.read(told)
        may_be_done |= _may_be_done(told)
        yield _before_retry(told, tried, around)
        tried += 1


def _before_retry(told: Told, tried: int, around: Surroundings) -> Wait:
    """How long to wait before the next try. Raises the failure where there is none."""
    error = _failure(told, around.now())
    asked = (error.retry_after or 0.0) if isinstance(error, Refused) else 0.0
    if tried >= around.patience.retries or not _may_pass(told, error) or asked > around.patience.longest_wait:
        raise error
    step = min(FIRST_WAIT * 2.0 ** min(tried, 16), LONGEST_STEP)
    if isinstance(error, Refused) and error.code == _UNDER_WAY:
        step = max(step, WHILE_UNDER_WAY)
    return Wait(max(jittered(step, around.draw()), asked), str(error))


def _failure(told: Told, now: float) -> Refused | Unreachable | UnexpectedAnswer:
    if not isinstance(told, Answer):
        return Unreachable(told.why if told else "nothing was sent")
    if told.status >= 400:
        asked = retry_after(told.headers.get("retry-after"), now)
        return refusal(told.status, told.body, told.request_id, asked)
    if 300 <= told.status <= 399:
        return told.unexpected("a redirect, which is not followed: the key would go along. Is the URL the API's?")
    return told.unexpected("nothing else")


def _may_pass(told: Told, error: Exception) -> bool:
    if isinstance(told, Answer):
        return told.status in _MAY_PASS or (isinstance(error, Refused) and error.code == _UNDER_WAY)
    return told is not None and told.may_pass


def _may_be_done(told: Told) -> bool:
    if isinstance(told, Answer):
        return told.status not in _NOTHING_DONE
    return told is not None and told.was_sent
