"""What the demo sends: every documented sample, then many more of them with duplicates and forgeries between."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

from kirimhook.cli.demo.provider import Delivery
from kirimhook.contract import ids, samples
from kirimhook.contract.samples import Sample

CUSTOMERS = 200
DUPLICATED = 0.10
FORGED = 0.05


@dataclass(slots=True)
class Traffic:
    """`draw` makes a run repeatable; `now` is in unix seconds."""

    draw: random.Random
    now: int

    def samples(self) -> list[Delivery]:
        return [self._delivery(samples.load(name)) for name in samples.names()]

    def many(self, events: int) -> Iterator[Delivery]:
        """So many events; each may come twice, or be followed by a forgery of another."""
        names = samples.names()
        for serial in range(events):
            delivery = self._delivery(self._another(samples.load(self.draw.choice(names)), serial))
            yield delivery
            if self.draw.random() < DUPLICATED:
                yield replace(delivery, delivery_id=self._delivery_id())
            if self.draw.random() < FORGED:
                forgery = self._another(delivery.sample, events + serial)
                yield replace(self._delivery(forgery), forged=True)

    def _another(self, sample: Sample, serial: int) -> Sample:
        customer = f"62812{self.draw.randrange(CUSTOMERS):08d}"
        if sample.source == "meta":
            event_id = f"wamid.demo{serial:08d}"
        else:
            event_id = ids.make("evt_", self.now * 1000, self.draw.randbytes(ids.RANDOM_BYTES))
        return sample.renewed(event_id=event_id, customer=customer, timestamp=self.now)

    def _delivery(self, sample: Sample) -> Delivery:
        return Delivery(sample, self._delivery_id())

    def _delivery_id(self) -> str:
        return ids.make("wbd_", self.now * 1000, self.draw.randbytes(ids.RANDOM_BYTES))
