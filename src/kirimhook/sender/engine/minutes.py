"""What came of attempts, summed up by subscription and minute, and written down every other second.

For people to look at. The account is the ledger: what was summed up and not yet written is lost with the process.
Nothing is added up in the database: each sum has rows of its own, replaced by what it has come to, so that one that
may have been written already is simply written again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterable
from functools import partial
from itertools import count, islice

from kirimhook.contract.resources import DeliveryKind, DeliveryStatus
from kirimhook.sender.database import Database
from kirimhook.sender.engine.results import Finished
from kirimhook.sender.engine.telemetry import Telemetry
from kirimhook.sender.latencies import bucket
from kirimhook.sender.store import minutes
from kirimhook.sender.store.minutes import MINUTE, WHOLE, Sum

EVERY = 2.0
"""Seconds between two flushes."""
BATCH = 1000
"""Sums of one transaction."""
MOST = 50_000
"""Sums in memory. Past that, further subscriptions are left out until a minute has passed."""
LAST = 2.0
"""Seconds for what is left, when the engine stops."""

_Key = tuple[str, int]


class _Tally:
    """Of one subscription, or one organisation, in one minute."""

    __slots__ = ("dead", "failed", "key", "latencies", "organisation_id", "succeeded", "whole", "writer")

    def __init__(self, key: _Key, organisation_id: str, writer: str, whole: _Tally | None) -> None:
        self.key = key
        self.organisation_id = organisation_id
        self.writer = writer
        self.whole = whole or self
        """Its organisation's."""
        self.succeeded = 0
        self.failed = 0
        self.dead = 0
        self.latencies: Counter[int] = Counter()

    def sum(self) -> Sum:
        who = WHOLE if self.whole is self else self.key[0]
        counts = self.succeeded, self.failed, self.dead, minutes.packed(self.latencies)
        return Sum(self.organisation_id, self.key[1], who, self.writer, *counts)


class Minutes:
    """Lives on the engine's loop. `name` tells this engine's rows from others'."""

    def __init__(self, database: Database, telemetry: Telemetry, name: str, every: float = EVERY) -> None:
        self._database = database
        self._telemetry = telemetry
        self._every = every
        self._writers = (f"{name}.{number}" for number in count(1))
        self._known: dict[_Key, _Tally] = {}
        self._changed: dict[_Key, _Tally] = {}
        """Of subscriptions, since they were last written; the longest waiting first. Organisations go with them."""
        self._newest = 0
        """Minute in which an attempt ended."""
        self._failing = False
        self._stopping = asyncio.Event()

    def count(self, finished: Finished) -> None:
        """An attempt was written down. Called for each: it costs about a microsecond."""
        ended = finished.ended
        key = ended.subscription_id, ended.ended_at // MINUTE
        tally = self._changed.get(key) or self._taken_up(key, ended.organisation_id)
        if tally is None:
            return
        whole, status = tally.whole, ended.status
        if status is DeliveryStatus.SUCCEEDED:
            tally.succeeded += 1
            whole.succeeded += 1
            delivery = finished.held.delivery
            if delivery.kind == DeliveryKind.ORIGINAL:
                number = bucket(ended.ended_at - delivery.created_at)
                tally.latencies[number] += 1
                whole.latencies[number] += 1
        elif status is DeliveryStatus.FAILED:
            tally.failed += 1
            whole.failed += 1
        else:
            tally.dead += 1
            whole.dead += 1

    def _taken_up(self, key: _Key, organisation_id: str) -> _Tally | None:
        tally = self._known.get(key)
        if tally is None:
            self._newest = max(self._newest, key[1])
            if len(self._known) >= MOST:
                return None
            of_all = organisation_id, key[1]
            whole = self._known.get(of_all)
            if whole is None:
                whole = self._known[of_all] = _Tally(of_all, organisation_id, next(self._writers), None)
            tally = self._known[key] = _Tally(key, organisation_id, next(self._writers), whole)
        self._changed[key] = tally
        return tally

    async def run(self) -> None:
        """Until `stop`, and then once more."""
        while not self._stopping.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._every):
                    await self._stopping.wait()
            await self._try()

    def stop(self) -> None:
        self._stopping.set()

    async def _try(self) -> None:
        try:
            await self.flush()
            self._failing = False
        except Exception as error:  # storage, mostly: the runner meets it too. What is for show must not end an engine
            if not self._failing:
                self._telemetry.unsummed(error)
            self._failing = True

    async def flush(self) -> None:
        """Write down all that has changed. Raises `StorageUnavailable`; what was not written is kept."""
        for _ in range(-(-len(self._changed) // BATCH)):
            tallies = list(islice(self._changed.values(), BATCH))
            for tally in tallies:
                del self._changed[tally.key]
            try:
                await self._database.write(partial(minutes.replace, sums=_sums(tallies)))
            except BaseException:
                self._changed = {tally.key: tally for tally in tallies} | self._changed
                raise
        self._forget()

    def _forget(self) -> None:
        """What is past. An attempt of it that is written down late makes a sum of its own."""
        first = self._newest - 1
        self._known = {key: tally for key, tally in self._known.items() if key[1] >= first or key in self._changed}


def _sums(tallies: Iterable[_Tally]) -> list[Sum]:
    """Theirs, and those of their organisations: of one minute there may be two, where the first was forgotten."""
    wholes = {tally.whole.writer: tally.whole for tally in tallies}
    return [tally.sum() for tally in (*tallies, *wholes.values())]
