"""From verified events to the inbox: in batches, within a time, and never half way.

Requests of one turn of the event loop share one `Inbox.put`, run by a task of its own: a client that hangs
up, or a server that cancels its request, does not touch it. One timer watches over all puts, instead of one
for each request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING

from kirimhook.receiver.answers import ACKED, Answer, unavailable
from kirimhook.receiver.inbox import Inbox, InboxUnavailable

if TYPE_CHECKING:
    from kirimhook.observe import Meter, Observer
    from kirimhook.receiver.model import InboundEvent
    from kirimhook.settings import ReceiverSettings

MAX_BATCH = 128

Reply = Callable[[Answer], None]


class Intake:
    """Hands events to the inbox and turns what becomes of them into answers. One event loop."""

    def __init__(self, inbox: Inbox, settings: ReceiverSettings, observer: Observer, meter: Meter) -> None:
        self._inbox = inbox
        self._timeout = settings.commit_timeout
        self._retry_after = settings.retry_after
        self._observer = observer
        self._gauges = meter.gauges
        self._events: list[InboundEvent] = []
        self._replies: list[Reply] = []
        self._open: dict[int, tuple[float, list[Reply]]] = {}
        self._serials = count()
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None

    def put(self, event: InboundEvent, reply: Reply) -> None:
        """Claim and store the event; `reply` is called with the answer, once, in a later turn of the loop."""
        if not self._events:
            asyncio.get_running_loop().call_soon(self._flush)
        self._events.append(event)
        self._replies.append(reply)
        if len(self._events) >= MAX_BATCH:
            self._flush()

    async def drain(self) -> None:
        """Wait for all puts to end, each within its time."""
        self._flush()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._timeout)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _flush(self) -> None:
        events, replies = self._events, self._replies
        if not events:
            return
        self._events, self._replies = [], []
        loop = asyncio.get_running_loop()
        serial, deadline = next(self._serials), loop.time() + self._timeout
        self._open[serial] = (deadline, replies)
        self._gauges["kirimhook_waiting_commits"] += len(events)
        if self._timer is None:
            self._timer = loop.call_at(deadline, self._expire)
        task = loop.create_task(self._store(serial, events))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _store(self, serial: int, events: list[InboundEvent]) -> None:
        answers = [unavailable("cancelled", self._retry_after)] * len(events)
        try:
            answers = await self._answers(events)
        finally:
            self._gauges["kirimhook_waiting_commits"] -= len(events)
            _, replies = self._open.pop(serial, (0.0, []))  # none: they were told that it took too long
            for reply, answer in zip(replies, answers, strict=False):
                self._reply(reply, answer)

    async def _answers(self, events: list[InboundEvent]) -> list[Answer]:
        try:
            receipts = await self._inbox.put(events)
            if len(receipts) == len(events):
                return [ACKED[receipt] for receipt in receipts]
            failure = unavailable("inbox_failed", self._retry_after)
            self._tell("inbox_failed", f"{len(receipts)} receipts", len(events))
        except InboxUnavailable as error:
            failure = unavailable(error.reason, error.retry_after)
            self._tell(error.reason, error.detail, len(events), error.__cause__)
        except Exception as error:  # a defect in a backend must not become a 4xx, nor a hang
            failure = unavailable("inbox_failed", self._retry_after)
            self._tell("inbox_failed", type(error).__name__, len(events), error)
        return [failure] * len(events)

    def _expire(self) -> None:
        """Answer for the puts that took too long. They go on; what they commit is then a duplicate."""
        loop = asyncio.get_running_loop()
        self._timer = None
        for serial, (deadline, replies) in list(self._open.items()):
            if deadline > loop.time():
                self._timer = loop.call_at(deadline, self._expire)
                return
            del self._open[serial]
            self._tell("commit_timeout", f"not committed within {self._timeout:g} s", len(replies))
            for reply in replies:
                self._reply(reply, unavailable("commit_timeout", self._retry_after))

    def _reply(self, reply: Reply, answer: Answer) -> None:
        try:
            reply(answer)
        except Exception as error:  # the others of its batch still get theirs
            self._observer.event("receiver_failed", error=error, status=answer.status, reason="reply")

    def _tell(self, reason: str, detail: str, events: int, error: BaseException | None = None) -> None:
        self._observer.event("unstored", error=error, reason=reason, detail=detail, events=events)
