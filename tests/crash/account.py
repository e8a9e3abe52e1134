"""What was sent, and what became of it: by the inbox's own account, by the handlers' journal, and by their effects."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kirimhook.contract.samples import Sample
from tests.crash import journal
from tests.crash.journal import Entry, Fault
from tests.crash.processes import Processes
from tests.crash.table import Row

DONE = "done"


@dataclass(frozen=True, slots=True)
class Account:
    stored: Counter[str]
    """Records of the inbox by event id."""
    done: Counter[str]
    """Those that are done."""
    elsewhere: Counter[str]
    """By state, of all that are not done."""
    tally: dict[str, int]
    """What the inbox counts, by state."""
    entries: list[Entry]
    effects: Counter[str]
    """Of transactional handlers, by event id."""

    def twice(self) -> int:
        """More than one record of it is done, or its effect is there more than once."""
        return len({event_id for some in (self.done, self.effects) for event_id, times in some.items() if times > 1})

    def row(self, storage: str, fault: str, *, rounds: int, kills: int, acked: set[str]) -> Row:
        once = sum(self.done[event_id] == 1 for event_id in acked)
        return Row(storage, fault, rounds, kills, len(acked), once, self.twice(), len(acked - self.done.keys()))

    def handled_again(self) -> int:
        return sum(times - 1 for times in journal.handled(self.entries).values())

    def check(self, sent: Sequence[Sample], faults: Sequence[Fault]) -> None:
        """G1, G3, G4 and G5, of events that were all acknowledged. Raises AssertionError."""
        ids = Counter(sample.event_id for sample in sent)
        booked = Counter(sample.event_id for sample in sent if sample.source == "meta")
        assert self.stored == self.done == ids, _difference(self.done, ids)
        assert self.elsewhere == Counter()
        assert self.tally == {DONE: len(ids)}
        assert self.effects == booked, _difference(self.effects, booked)
        assert journal.handled(self.entries).keys() == ids.keys() - booked.keys()
        assert journal.overtaken(self.entries) == []
        assert journal.overlapping(self.entries, faults) == []
        assert journal.unexplained(self.entries, faults) == []
        self._check_order(sent)

    def _check_order(self, sent: Sequence[Sample]) -> None:
        """Numbers grow as the events of a customer were sent, each after the one before was acknowledged."""
        numbers = {entry.event_id: entry.number for entry in self.entries}
        last: dict[str, int] = {}
        for sample in sent:
            if sample.event_id in numbers:
                customer = sample.event_id.rpartition("-")[0]
                assert numbers[sample.event_id] > last.get(customer, 0), f"{sample.event_id} was overtaken"
                last[customer] = numbers[sample.event_id]


def of_inbox(processes: Processes, tally: dict[str, int], effects: Counter[str]) -> Account:
    """Of all that is in the inbox of these processes, as `kirimhook inbox list` has it."""
    stored: Counter[str] = Counter()
    done: Counter[str] = Counter()
    elsewhere: Counter[str] = Counter()
    for event in listed(processes):
        stored[event["event_id"]] += 1
        if event["state"] == DONE:
            done[event["event_id"]] += 1
        else:
            elsewhere[event["state"]] += 1
    return Account(stored, done, elsewhere, tally, journal.read(processes.journal), effects)


def listed(processes: Processes) -> list[dict[str, Any]]:
    lines = processes.command("inbox", "list", "--json", "--limit", "10000000", "--inbox", processes.inbox)
    return [json.loads(line) for line in lines.splitlines()]


def _difference(found: Counter[str], wanted: Counter[str]) -> str:
    return f"missing {sorted((wanted - found).elements())[:5]}, too many {sorted((found - wanted).elements())[:5]}"
