"""How a process of a sender knows what it reports: it asks its parts, and tries its database."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import text

from kirimhook.admin.report import usage
from kirimhook.sender.database import StorageUnavailable
from kirimhook.serving.sending.report import SenderReport

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from kirimhook.observe import Meter
    from kirimhook.sender.database import Database

PROBE_TIMEOUT = 2.0
PROBE_LASTS = 0.5
"""Seconds: who asks more often gets the last answer again, so that asking costs the database nothing."""
MOST_COUNTED = 100_000
"""Rows of the queue: counting a backlog of millions would cost more than the number is worth."""

_WRITE = text("UPDATE seals SET sealed = sealed")
_COUNT = text(f"SELECT count(*) FROM (SELECT 1 FROM queue LIMIT {MOST_COUNTED}) AS counted")


class Probe(NamedTuple):
    """What trying the database came to."""

    problem: str | None
    queue: int | None


class Reporter:
    """Reports on one process. One event loop."""

    def __init__(self, database: Database, meter: Meter, *, serves: bool, delivers: bool) -> None:
        self._database = database
        self._meter = meter
        self._serves = serves
        self._delivers = delivers
        self._started_at = time.time()
        self.engine_failed: Callable[[], bool] = _never
        self._probing: asyncio.Task[Probe] | None = None
        self._probed_at = 0.0

    async def report(self) -> SenderReport:
        """Never raises for a part that fails, and takes no longer than a probe may."""
        probe = await self._probe()
        return SenderReport(
            pid=os.getpid(),
            started_at=self._started_at,
            storage_problem=probe.problem,
            usage=usage(),
            snapshot=self._meter.snapshot(),
            serves=self._serves,
            delivers=self._delivers,
            engine_failed=self.engine_failed(),
            queue=probe.queue,
        )

    async def _probe(self) -> Probe:
        """Shared by all who ask while it runs, and for a moment after."""
        probing = self._probing
        if probing is None or (probing.done() and time.monotonic() - self._probed_at > PROBE_LASTS):
            probing = self._probing = asyncio.create_task(self._look())
        return await asyncio.shield(probing)

    async def _look(self) -> Probe:
        try:
            async with asyncio.timeout(PROBE_TIMEOUT):
                await self._database.write(_touch)
                return Probe(None, await self._database.read(_count))
        except TimeoutError:
            return Probe(f"it did not answer within {PROBE_TIMEOUT:g} s", None)
        except StorageUnavailable as error:
            return Probe(str(error), None)
        finally:
            self._probed_at = time.monotonic()


def _touch(connection: Connection) -> None:
    """Write what is there already, one row: a full disk lets itself be read, and takes an empty transaction."""
    connection.execute(_WRITE)


def _count(connection: Connection) -> int:
    return int(connection.execute(_COUNT).scalar_one())


def _never() -> bool:
    return False
