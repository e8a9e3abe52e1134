"""What an examination found: one row for each check, and what all of them come to."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from kirimhook.operating.doctor.finding import Verdict

if TYPE_CHECKING:
    from kirimhook.operating.doctor.check import Check
    from kirimhook.operating.doctor.finding import Finding


class Examined(NamedTuple):
    """One check, done or not."""

    check: Check
    finding: Finding

    @property
    def is_complaint(self) -> bool:
        return self.finding.verdict in {Verdict.FAILED, Verdict.WARNED}

    def to_json(self) -> dict[str, Any]:
        check = self.check
        return {
            "check": check.id,
            "verdict": self.finding.verdict.value,
            "tried": check.tries,
            "right": check.right,
            "contract": check.section,
            "saw": self.finding.saw,
            "cost": check.cost if self.is_complaint else None,
        }


@dataclass(frozen=True, slots=True)
class Report:
    """All checks in the order of the table. `requests` were sent in `seconds`; the consumer may hold `events`."""

    url: str
    examined: tuple[Examined, ...]
    requests: int
    events: tuple[str, ...]
    """The ids of the events that were sent, those that it should refuse among them."""
    seconds: float

    @property
    def counts(self) -> Counter[Verdict]:
        return Counter(row.finding.verdict for row in self.examined)

    @property
    def is_healthy(self) -> bool:
        """Nothing failed, and all that was asked for was done."""
        return not self.counts[Verdict.FAILED] and not self.counts[Verdict.NOT_RUN]

    def to_json(self) -> dict[str, Any]:
        return {
            "url": self.url,
            "healthy": self.is_healthy,
            **{verdict.value: self.counts[verdict] for verdict in Verdict},
            "requests": self.requests,
            "seconds": round(self.seconds, 3),
            "events": list(self.events),
            "checks": [row.to_json() for row in self.examined],
        }
