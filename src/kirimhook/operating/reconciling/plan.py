"""What a look at dead letters found: how many of each verdict, and what is to be replayed, in which order. No I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from kirimhook.operating.reconciling.letters import Letter
from kirimhook.operating.reconciling.verdicts import FOR_PEOPLE, TO_REPLAY, Verdict

EXAMPLES = 20
"""Letters of one verdict that are shown to people by name."""


class Judged(NamedTuple):
    letter: Letter
    verdict: Verdict
    rounds: int
    """How often its event was replayed by reconciling before."""


class Wanted(NamedTuple):
    """A letter to replay. `born`: when its event was first delivered, in ms since the epoch; None: not known."""

    letter: Letter
    rounds: int
    born: int | None = None


@dataclass(slots=True)
class Plan:
    """Of one look. Holds what is to be replayed and some examples of the rest, however long the list was."""

    counts: Counter[Verdict] = field(default_factory=Counter)
    examples: dict[Verdict, list[Letter]] = field(default_factory=dict)
    wanted: list[Wanted] = field(default_factory=list)

    def add(self, judged: Judged, born: int | None = None) -> None:
        self.counts[judged.verdict] += 1
        if judged.verdict in TO_REPLAY:
            self.wanted.append(Wanted(judged.letter, judged.rounds, born))
        elif judged.verdict in FOR_PEOPLE:
            shown = self.examples.setdefault(judged.verdict, [])
            if len(shown) < EXAMPLES:
                shown.append(judged.letter)

    @property
    def looked_at(self) -> int:
        return self.counts.total()

    @property
    def for_people(self) -> int:
        """How many no replay mends."""
        return sum(self.counts[verdict] for verdict in FOR_PEOPLE)

    def in_order(self) -> list[Wanted]:
        """What is to be replayed: what was never replayed first, then the oldest.

        So an event that its receiver refuses for ever stands in nobody's way.
        """
        return sorted(self.wanted, key=lambda one: (one.rounds, one.letter.created_at, one.letter.id))

    def to_json(self) -> dict[str, int]:
        return {verdict.value: self.counts[verdict] for verdict in Verdict}

    def shown(self) -> list[dict[str, Any]]:
        """Examples of what is left for people."""
        return [
            {"verdict": verdict.value, "delivery_id": one.id, "event_id": one.event_id, "event_type": one.event_type}
            for verdict, letters in sorted(self.examples.items())
            for one in letters
        ]


def canaries(wanted: Iterable[Wanted], most: int) -> list[Wanted]:
    """Those to try first, alone: of what was replayed least, what the inbox can be asked for, then the oldest."""
    ordered = sorted(wanted, key=lambda one: (one.rounds, one.letter.key is None, one.letter.created_at, one.letter.id))
    return ordered[:most]
