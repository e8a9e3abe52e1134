"""What the demo publishes: every documented sample, then many more of them, some of them twice."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from kirimhook.contract import ids, samples
from kirimhook.contract.events import META, dedupe_key
from kirimhook.contract.samples import Sample

CUSTOMERS = 200
REPEATED = 0.05


@dataclass(slots=True)
class Traffic:
    """`draw` makes a run repeatable; `now` is in unix seconds."""

    draw: random.Random
    now: int
    serial: int = 0

    def samples(self) -> list[Sample]:
        return [self._another(samples.load(name)) for name in samples.names()]

    def many(self, events: int) -> Iterator[Sample]:
        """So many events; now and then the same one again, as a publisher does that had no answer."""
        for event in self.fresh(events):
            yield event
            if self.draw.random() < REPEATED:
                yield event

    def fresh(self, events: int) -> Iterator[Sample]:
        """So many, each once."""
        names = samples.names()
        return (self._another(samples.load(self.draw.choice(names))) for _ in range(events))

    def _another(self, sample: Sample) -> Sample:
        self.serial += 1
        customer = f"62812{self.draw.randrange(CUSTOMERS):08d}"
        if sample.source == META:
            event_id = f"wamid.demo{self.serial:08d}"
        else:
            event_id = ids.make(ids.EVENT, self.now * 1000, self.draw.randbytes(ids.RANDOM_BYTES))
        return sample.renewed(event_id=event_id, customer=customer, timestamp=self.now)


def identity(sample: Sample) -> bytes:
    """The key by which the receiver will know the event."""
    return dedupe_key(sample.source, sample.event_id, sample.type, sample.body)
