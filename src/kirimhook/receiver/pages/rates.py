"""What the counters of all processes did in the last hour: samples in memory, from when the pages' process began."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from kirimhook.receiver.admin.report import Fleet, SecretUse

EVERY = 5.0
KEPT = 3600.0
"""Seconds."""
SERIES = {
    "received": ("kirimhook_requests_total", ("fresh",)),
    "duplicates": ("kirimhook_requests_total", ("duplicate", "duplicate_parked")),
    "done": ("kirimhook_handled_total", ("done",)),
    "retried": ("kirimhook_handled_total", ("retry",)),
    "parked": ("kirimhook_handled_total", ("parked",)),
    "unhandled": ("kirimhook_handled_total", ("unhandled",)),
    "skipped": ("kirimhook_handled_total", ("skipped",)),
}
"""What is sampled: a counter, and the labels of it that are added up."""
REFUSED = "refused"
"""All other requests."""
MOST_SECRETS = 50


class Sample(NamedTuple):
    """`at` is seconds since the epoch; `counts` is by series, from the start of the command."""

    at: float
    counts: Mapping[str, int]


class Minute(NamedTuple):
    """`began` is seconds since the epoch; `counts` what came in that minute."""

    began: float
    counts: Mapping[str, int]


class Rates:
    """Samples what `fleet` says, every `every` seconds. One loop."""

    def __init__(
        self,
        fleet: Callable[[], Awaitable[Fleet]],
        *,
        clock: Callable[[], float] = time.time,
        every: float = EVERY,
    ) -> None:
        self._fleet = fleet
        self._clock = clock
        self._every = every
        self._samples: deque[Sample] = deque()
        self._secrets: dict[str, SecretUse] = {}
        self._sampling: asyncio.Task[None] | None = None
        self.since = clock()
        """Seconds since the epoch: before this nothing is known."""

    def start(self) -> None:
        """Begin. Twice is once."""
        if self._sampling is None:
            self._sampling = asyncio.create_task(self._run())

    def stop(self) -> None:
        """Sample no more. What was sampled stays."""
        if self._sampling is not None:
            self._sampling.cancel()

    def note(self, fleet: Fleet) -> None:
        """Take a sample of what was just said."""
        now = self._clock()
        if self._samples and now <= self._samples[-1].at:  # a clock that went back: what is ahead of it is over
            self._samples.clear()
        self._samples.append(Sample(now, _counts(fleet)))
        while self._samples[0].at < now - KEPT:
            self._samples.popleft()
        for use in fleet.totals.secrets.values():
            if use.fingerprint in self._secrets or len(self._secrets) < MOST_SECRETS:
                self._secrets[use.fingerprint] = use

    def minutes(self, most: int = 60) -> list[Minute]:
        """The last minutes by the clock, oldest first, the one that runs included; those before `since` are not there.

        What came between two samples is counted in the minute of the later one.
        """
        now = self._clock()
        last = int(now // 60)
        first = max(int(self.since // 60), last - most + 1)
        counts: dict[int, dict[str, int]] = {
            minute: dict.fromkeys((*SERIES, REFUSED), 0) for minute in range(first, last + 1)
        }
        samples = list(self._samples)
        for before, after in pairwise(samples):
            there = counts.get(int(after.at // 60))
            if there is not None:
                for name, count in after.counts.items():
                    there[name] += max(0, count - before.counts.get(name, 0))
        return [Minute(minute * 60.0, counted) for minute, counted in counts.items()]

    def recent(self, seconds: float = 60.0) -> dict[str, int]:
        """By series: how many in about the last `seconds`. 0 while there is no second sample."""
        samples = self._recent(seconds)
        if len(samples) < 2:
            return dict.fromkeys((*SERIES, REFUSED), 0)
        before, after = samples[0].counts, samples[-1].counts
        return {name: max(0, count - before.get(name, 0)) for name, count in after.items()}

    def known_secrets(self) -> list[SecretUse]:
        """All that were in force at any sample, dropped ones too, as last heard of."""
        return list(self._secrets.values())

    def _recent(self, seconds: float) -> Sequence[Sample]:
        """The samples of so many last seconds, and the one before them."""
        if not self._samples:
            return ()
        start = self._samples[-1].at - seconds - self._every / 2
        return [sample for sample in self._samples if sample.at >= start]

    async def _run(self) -> None:
        while True:
            self.note(await self._fleet())
            await asyncio.sleep(self._every)


def _counts(fleet: Fleet) -> dict[str, int]:
    counters = fleet.totals.snapshot["counters"]
    counts = {
        name: sum(counters[counter].get(label, 0) for label in labels) for name, (counter, labels) in SERIES.items()
    }
    requests = sum(counters["kirimhook_requests_total"].values())
    return counts | {REFUSED: requests - counts["received"] - counts["duplicates"]}
