"""How a process knows what it reports: it asks its parts, and tries its storage."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from typing import TYPE_CHECKING, NamedTuple

from kirimhook.admin.report import usage
from kirimhook.observe import Meter, Observer
from kirimhook.receiver.admin.report import InboxReport, ProcessReport, SecretUse
from kirimhook.receiver.inbox import Inbox, InboxUnavailable
from kirimhook.receiver.model import Receipt

if TYPE_CHECKING:
    from collections.abc import Callable

    from kirimhook.receiver.endpoint import Receiver
    from kirimhook.receiver.worker import Worker

PROBE_TIMEOUT = 2.0
PROBE_LASTS = 0.5
"""Seconds: who asks more often gets the last answer again, so that asking costs the storage nothing."""
FAILURE_LASTS = 30.0
"""Seconds that a failed commit counts against the storage, unless one succeeds before."""
OVERLOAD = frozenset({"queue_full"})
"""Reasons that say nothing against the storage itself."""

_ACKED = tuple(receipt.value for receipt in Receipt)


class _Failure(NamedTuple):
    reason: str
    at: float
    acked: int


class StorageWatch(Observer):
    """An observer that remembers the last commit that failed: a probe cannot find a full disk, a put does."""

    __slots__ = ("_failure", "_monotonic", "_requests")

    def __init__(
        self, meter: Meter, logger: logging.Logger | None = None, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(logger)
        self._monotonic = monotonic
        self._requests = meter.counter("kirimhook_requests_total")
        self._failure: _Failure | None = None

    def event(self, name: str, *, error: BaseException | None = None, **fields: object) -> None:
        if name == "unstored" and fields.get("reason") not in OVERLOAD:
            self._failure = _Failure(str(fields.get("reason")), self._monotonic(), self._acked())
        super().event(name, error=error, **fields)

    def problem(self) -> str | None:
        """The last failure, while no commit has succeeded since and it is not long ago."""
        failure = self._failure
        if failure is None or self._acked() > failure.acked:
            return None
        age = self._monotonic() - failure.at
        return f"{failure.reason}: a commit failed {age:.0f} s ago" if age < FAILURE_LASTS else None

    def _acked(self) -> int:
        return sum(self._requests.get(receipt, 0) for receipt in _ACKED)


class Reporter:
    """Reports on one process. One event loop."""

    def __init__(
        self,
        inbox: Inbox,
        meter: Meter,
        watch: StorageWatch,
        *,
        receiver: Receiver | None = None,
        worker: Worker | None = None,
    ) -> None:
        self._inbox = inbox
        self._meter = meter
        self._watch = watch
        self._receiver = receiver
        self._worker = worker
        self._started_at = time.time()
        self.running = False
        """Started, and not told to stop: its worker should be running."""
        self._probing: asyncio.Task[tuple[str | None, InboxReport | None]] | None = None
        self._probed_at = 0.0
        self._found: tuple[str | None, InboxReport | None] = (None, None)

    async def report(self) -> ProcessReport:
        """Never raises for a part that fails, and takes no longer than a probe may."""
        return self._report(*await self._probe())

    def counts(self) -> ProcessReport:
        """The same at once: what the storage said when it was last asked, and None of it before that."""
        return self._report(*self._found)

    def _report(self, problem: str | None, inbox: InboxReport | None) -> ProcessReport:
        receiver, worker = self._receiver, self._worker
        return ProcessReport(
            pid=os.getpid(),
            started_at=self._started_at,
            receives=receiver is not None,
            works=worker is not None,
            worker_failed=worker is not None and self.running and not worker.is_running,
            storage_problem=problem or self._watch.problem(),
            inbox=inbox,
            secrets=tuple(SecretUse(**use) for use in receiver.keyring.status()) if receiver else (),
            secrets_problem=receiver.keyring.problem if receiver else None,
            clock_offset=receiver.clock_offset() if receiver else None,
            usage=usage(),
            snapshot=self._meter.snapshot(),
        )

    async def _probe(self) -> tuple[str | None, InboxReport | None]:
        """Shared by all who ask while it runs, and for a moment after."""
        probing = self._probing
        if probing is None or (probing.done() and time.monotonic() - self._probed_at > PROBE_LASTS):
            probing = self._probing = asyncio.create_task(self._look())
        self._found = await asyncio.shield(probing)
        return self._found

    async def _look(self) -> tuple[str | None, InboxReport | None]:
        try:
            async with asyncio.timeout(PROBE_TIMEOUT):
                await self._inbox.renew((), 1.0)  # changes nothing, but goes the way of every write
                stats = await self._inbox.stats()
        except TimeoutError:
            return f"it did not answer within {PROBE_TIMEOUT:g} s", None
        except InboxUnavailable as error:
            return str(error), None
        finally:
            self._probed_at = time.monotonic()
        states = {state.value: count for state, count in stats.counts.items()}
        return None, InboxReport(states, stats.paused, stats.oldest_waiting, stats.bytes)
