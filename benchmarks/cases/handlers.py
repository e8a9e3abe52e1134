"""(d3): how long an acknowledgement takes while a handler in the same process blocks, computes, or holds the writer."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from pathlib import Path

from benchmarks import files, hooks
from benchmarks.bodies import event
from benchmarks.cases.acks import check_stored, loaded, measured, serving
from benchmarks.files import InvalidRunError
from benchmarks.load import Load
from benchmarks.measure import Bench, Measurement
from benchmarks.processes import Measured
from kirimhook import open_inbox
from kirimhook.receiver.inbox import Filter
from kirimhook.receiver.model import EventState, InboundEvent

BEGIN = 10.0
CATCH_UP = 120.0
"""Seconds for the worker to begin an event, and to end all of them."""
MOST_TRANSACTIONS = 20_000
BLOCKING = {"block_async": hooks.BLOCK_ASYNC, "block_plain": hooks.BLOCK_PLAIN, "spin": hooks.SPIN}
UNFINISHED = frozenset({EventState.WAITING, EventState.RUNNING})


def acks_beside(bench: Bench) -> dict[str, Measurement]:
    """All on one server, one after the other; the worker catches up in between."""
    inbox = bench.files.empty()
    with serving(bench, files.url(inbox)) as (server, port):
        rig = Rig(bench, server, port, inbox)
        found = asyncio.run(rig.run())
    check_stored(inbox, rig.special, rig.loads)
    return found


class Rig:
    """A server, and a second door to its inbox through which the special events go in."""

    def __init__(self, bench: Bench, server: Measured, port: int, path: Path) -> None:
        self._bench = bench
        self._server = server
        self._port = port
        self._path = path
        self._inbox = open_inbox(files.url(path))
        self._effects = 0
        self.loads: list[Load] = []
        self.special = 0
        """Events put in here."""

    async def run(self) -> dict[str, Measurement]:
        scale = self._bench.scale
        await self._inbox.open()
        try:
            if scale.warm_up:
                await self._load("warm_up", scale.warm_up)
            found = {"quiet": await self._load("quiet", scale.load_while_blocked)}
            for name, event_type in BLOCKING.items():
                found[name] = await self._while_blocked(name, event_type)
            for seconds in scale.transactions:
                name = f"transaction_{seconds * 1000:g}ms"
                found[name] = await self._while_transacting(name, seconds)
        finally:
            await self._inbox.close()
        return {f"handlers.{name}": measurement for name, measurement in found.items()}

    async def _while_blocked(self, name: str, event_type: str) -> Measurement:
        body = json.dumps({"seconds": self._bench.scale.block}).encode()
        await self._put([event(name, event_type, body)])
        await self._until(Filter(frozenset({EventState.RUNNING}), (event_type,)), 1, BEGIN)
        began = time.monotonic()
        found = await self._load(name, self._bench.scale.load_while_blocked, catch_up=False)
        over = time.monotonic() - began
        if over > self._bench.scale.block:
            raise InvalidRunError(f"the load outlasted the blocking handler: {over:.1f} s")
        await self._caught_up()
        return found

    async def _while_transacting(self, name: str, seconds: float) -> Measurement:
        """As many as fit in, one after the other; those that are left when the load ends do nothing."""
        window = self._bench.scale.load_while_blocked
        count = min(MOST_TRANSACTIONS, int(window / seconds * 1.5) + 1)
        body = json.dumps({"seconds": seconds, "until": time.time() + window + 1}).encode()
        await self._put([event(f"{name}-{number}", hooks.TRANSACTION, body) for number in range(count)])
        found = await self._load(name, window)
        effects = hooks.count_effects(self._path) - self._effects
        self._effects += effects
        if not effects:
            raise InvalidRunError("no transactional handler ran")
        return replace(found, handled_beside=effects)

    async def _put(self, events: list[InboundEvent]) -> None:
        for some in (events[start : start + files.BATCH] for start in range(0, len(events), files.BATCH)):
            await self._inbox.put(some)
        self.special += len(events)

    async def _load(self, name: str, seconds: int, *, catch_up: bool = True) -> Measurement:
        cost = await asyncio.to_thread(loaded, self._bench, self._server, self._port, seconds=seconds, label=name)
        self.loads.append(cost[0])
        if catch_up:
            await self._caught_up()
        return measured(cost)

    async def _caught_up(self) -> None:
        await self._until(Filter(UNFINISHED), 0, CATCH_UP)

    async def _until(self, where: Filter, count: int, bound: float) -> None:
        """Raises InvalidRunError when the inbox does not come to hold so many within `bound` seconds."""
        end = time.monotonic() + bound
        while (held := await self._inbox.count(where)) != count:
            if time.monotonic() > end:
                raise InvalidRunError(f"{held} events instead of {count} after {bound:g} s: {where}")
            await asyncio.sleep(0.05)
