"""What is to be done with a dead letter: one table of rules, of which the first that holds decides. No I/O.

A letter is replayed only where that can do no harm and some good: the inbox does not hold its event, or the list does
not tell (then the receiver's dedupe record decides), and such a record, if there is one, outlives the replay.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from kirimhook.contract.retry import JITTER, SCHEDULE
from kirimhook.receiver.model import EventState

DAY = 86_400.0
DEDUPE_DAYS = 32.0
"""How long a receiver of ours remembers an event, unless told otherwise. Contract section 6."""
LEAST_DEDUPE_DAYS = 7.0
TIMEOUT = 10.0
MARGIN = sum(SCHEDULE) * (1 + JITTER) + len(SCHEDULE) * TIMEOUT
"""Seconds that the attempts of a replay can take: the last of them must still meet the dedupe record."""
MOST_ROUNDS = 3
MOST_TRIES = 10
"""Replays of one event while the endpoint takes nothing at all. Then it waits until the endpoint takes anything."""


class Verdict(StrEnum):
    """What a dead letter comes to."""

    TEST = "test"
    ERASED = "erased"
    REPLAYED = "replayed"
    PARKED = "parked"
    HELD = "held"
    DISCARDED = "discarded"
    TOO_OLD = "too_old"
    GIVEN_UP = "given_up"
    UNTELLABLE = "untellable"
    MISSING = "missing"


TO_REPLAY = frozenset({Verdict.MISSING, Verdict.UNTELLABLE})
FOR_PEOPLE = frozenset({Verdict.PARKED, Verdict.TOO_OLD, Verdict.GIVEN_UP})
"""What no replay mends."""


class Facts(NamedTuple):
    """What is known of a letter's event."""

    is_test: bool = False
    is_erased: bool = False
    is_replayed: bool = False
    """A later delivery of the same event was made, and speaks for it."""
    was_discarded: bool = False
    age: float | None = 0.0
    """Seconds since its first delivery was made; None: cannot be told."""
    is_told: bool = True
    """The list says which event it is. False: `state` says nothing."""
    state: EventState | None = None
    """In the inbox; None: not held there."""
    rounds: int = 0
    """How often it was replayed by reconciling already; any number of times while the endpoint took nothing is once."""
    tries: int = 0
    """How often it was replayed since the endpoint took anything."""


@dataclass(frozen=True, slots=True)
class Rules:
    """`horizon`: seconds an event is remembered. `most`: rounds of replays of one event; None: no bound at all."""

    horizon: float = DEDUPE_DAYS * DAY
    most: int | None = MOST_ROUNDS
    discarded: bool = False
    """Replay also what an operator discarded."""

    def is_too_old(self, age: float | None) -> bool:
        """Whether a replay could come when the receiver has forgotten its event. Unknown: it could."""
        return age is None or age > self.horizon - MARGIN

    def is_given_up(self, rounds: int, tries: int) -> bool:
        return self.most is not None and (rounds >= self.most or tries >= MOST_TRIES)


class Rule(NamedTuple):
    verdict: Verdict
    about: str
    holds: Callable[[Facts, Rules], bool]


RULES: tuple[Rule, ...] = (
    Rule(Verdict.TEST, "A test delivery: nobody lacks it.", lambda facts, _: facts.is_test),
    Rule(Verdict.ERASED, "What it held was erased: there is nothing to send.", lambda facts, _: facts.is_erased),
    Rule(Verdict.REPLAYED, "A later delivery of the same event speaks for it.", lambda facts, _: facts.is_replayed),
    Rule(
        Verdict.PARKED,
        "The inbox holds it, and gave it up: kirimhook inbox put-back.",
        lambda facts, _: facts.is_told and facts.state is EventState.PARKED,
    ),
    Rule(
        Verdict.HELD,
        "The inbox holds it: handled, or about to be.",
        lambda facts, _: facts.is_told and facts.state is not None,
    ),
    Rule(
        Verdict.DISCARDED,
        "An operator discarded it (held: discard).",
        lambda facts, rules: facts.was_discarded and not rules.discarded,
    ),
    Rule(
        Verdict.TOO_OLD,
        "The receiver may have forgotten that it handled it: a replay could be handled twice.",
        lambda facts, rules: rules.is_too_old(facts.age),
    ),
    Rule(
        Verdict.GIVEN_UP,
        "Replayed as often as allowed, and dead again.",
        lambda facts, rules: rules.is_given_up(facts.rounds, facts.tries),
    ),
    Rule(
        Verdict.UNTELLABLE,
        "The list does not tell which status of its message it is: replayed, and left to dedupe.",
        lambda facts, _: not facts.is_told,
    ),
    Rule(Verdict.MISSING, "The inbox does not hold it: replayed.", lambda _facts, _rules: True),
)


def judge(facts: Facts, rules: Rules) -> Verdict:
    """By the first rule that holds; the last one always does."""
    return next(rule.verdict for rule in RULES if rule.holds(facts, rules))
