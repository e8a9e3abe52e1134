"""One attempt: call the handler of one event in its own way, and judge how it ended."""

from __future__ import annotations

import asyncio
import inspect
from time import monotonic
from typing import NamedTuple

from kirimhook.observe import Meter, Observer
from kirimhook.receiver.event import Event
from kirimhook.receiver.hooks import Handler, Kind
from kirimhook.receiver.inbox import Inbox, InboxUnavailable
from kirimhook.receiver.model import LeasedEvent, Settlement
from kirimhook.receiver.outcomes import Park, Retry, Snooze
from kirimhook.receiver.work.run import Finished, Run
from kirimhook.receiver.work.slots import Slot, timeout_of
from kirimhook.receiver.work.threads import HandlerThreads
from kirimhook.receiver.work.transaction import TransactionCall
from kirimhook.receiver.work.verdict import ALL_WELL, DONE, Verdict, Verdicts
from kirimhook.settings import ReceiverSettings


class Stopped(Exception):
    """The worker stopped before the handler ended. `known` says whether the handler is at an end now."""

    def __init__(self, *, known: bool) -> None:
        super().__init__()
        self.known = known


class Parts(NamedTuple):
    """What attempts are made with."""

    inbox: Inbox
    settings: ReceiverSettings
    verdicts: Verdicts
    threads: HandlerThreads
    observer: Observer
    meter: Meter


class Attempts:
    """On the handlers' loop."""

    def __init__(self, parts: Parts) -> None:
        self._inbox = parts.inbox
        self._settings = parts.settings
        self._verdicts = parts.verdicts
        self._threads = parts.threads
        self._observer = parts.observer
        self._took = parts.meter.histogram("kirimhook_handler_seconds").observe
        self._told: set[int] = set()
        self.stopping = False
        """Cancellations come from the worker's end, not from the handlers themselves."""

    async def make(self, slot: Slot, leased: LeasedEvent, handler: Handler) -> Verdict:
        """Call an async or plain function. Raises Stopped."""
        timeout = timeout_of(handler, self._settings)
        begun = monotonic()
        deadline = None if timeout is None else begun + timeout
        slot.begin(leased, handler, deadline, in_thread=handler.kind is Kind.PLAIN)
        try:
            returned = await (
                self._in_thread(slot, handler, Event(leased)) if slot.in_thread else handler.function(Event(leased))
            )
        except GeneratorExit:  # the loop is being torn down
            raise
        except BaseException as error:  # SystemExit too: an event must not end the worker
            slot.end()
            verdict = self._failed(slot, leased, handler, error)
        else:
            slot.end()
            verdict = ALL_WELL if returned is None else self._returned(leased, handler, returned)
        self._took(monotonic() - begun)
        return verdict

    async def transact(self, run: Run, leased: LeasedEvent, handler: Handler, then: int | None) -> Finished | Verdict:
        """Call a function in the inbox's transaction. A verdict where it was rolled back. Raises Stopped."""
        begun = monotonic()
        call = TransactionCall(handler, Event(leased))
        done = Settlement(run.token, leased.number, DONE, then)
        run.transacting = True
        try:
            run.lost = not await self._inbox.transact(done, call) or run.lost
        except asyncio.CancelledError:
            raise Stopped(known=False) from None
        except Exception as error:  # judged
            return self._undone(call, leased, handler, error)
        finally:
            self._took(monotonic() - begun)
        if run.lost:
            return Finished(run, None)
        if call.returned is not None:
            self._returned(leased, handler, call.returned)
        return Finished(run, done, committed=True)

    async def _in_thread(self, slot: Slot, handler: Handler, event: Event) -> object:
        value, error = await self._threads.run(handler.function, event)
        if error is not None:
            raise error
        if inspect.isawaitable(value):  # a plain function that wraps an async one
            slot.in_thread = False
            value = await value
        return value

    def _returned(self, leased: LeasedEvent, handler: Handler, value: object) -> Verdict:
        if not isinstance(value, Retry | Snooze | Park) and id(handler) not in self._told:
            self._told.add(id(handler))
            self._observer.event("unknown_outcome", handler=handler.name, returned=type(value).__name__)
        return self._verdicts.returned(leased, handler, value)

    def _failed(self, slot: Slot, leased: LeasedEvent, handler: Handler, error: BaseException) -> Verdict:
        timeout = timeout_of(handler, self._settings)
        if slot.overdue and not slot.in_thread and timeout is not None:
            return self._verdicts.timed_out(leased, handler, timeout)
        if self.stopping and isinstance(error, asyncio.CancelledError):
            raise Stopped(known=not slot.in_thread) from None
        return self._verdicts.failed(leased, handler, error)

    def _undone(self, call: TransactionCall, leased: LeasedEvent, handler: Handler, error: Exception) -> Verdict:
        if call.error is not None:
            return self._verdicts.failed(leased, handler, call.error)
        if call.declined:
            return self._verdicts.returned(leased, handler, call.returned)
        if isinstance(error, InboxUnavailable):
            return self._verdicts.not_now(error.retry_after)
        return self._verdicts.failed(leased, handler, error)
