"""One attempt: body, signature, request, and what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from kirimhook.contract import headers
from kirimhook.contract.resources import DeliveryKind, Timing
from kirimhook.contract.signature import sign
from kirimhook.sender.database import Database
from kirimhook.sender.engine.budget import Budget
from kirimhook.sender.engine.decide import Answer, Course, decide
from kirimhook.sender.engine.endpoints import Held
from kirimhook.sender.engine.record import Sent, record
from kirimhook.sender.engine.results import Finished, Result, Returned
from kirimhook.sender.store.queue import body_of
from kirimhook.sender.store.settling import Ended
from kirimhook.sender.transport.exchange import Exchange
from kirimhook.settings import SenderSettings

PUT_OFF = 30.0
"""Seconds until a delivery is looked at again that cannot be attempted for reasons of our own."""
_NOTHING = Timing(None, None, None, None)


class Transport(Protocol):
    """Posts. Never raises but CancelledError."""

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Exchange: ...


@dataclass(frozen=True, slots=True)
class Attempts:
    """Makes attempts, and reports what came of each. `draw` gives chance from [0, 1)."""

    database: Database
    transport: Transport
    settings: SenderSettings
    budget: Budget
    clock: Callable[[], float]
    draw: Callable[[], float]
    report: Callable[[Result], None]

    async def make(self, held: Held) -> None:
        """Broken off, it counts for nothing: the delivery is given back. It may have arrived nevertheless."""
        try:
            if held.endpoint.problem is not None:
                self.report(Returned(held, int((self.clock() + PUT_OFF) * 1000)))
            elif held.body is not None:
                await self._post(held, held.body)
            else:
                await self._load_and_post(held)
        except asyncio.CancelledError:
            self.report(Returned(held, held.delivery.due_at))
            raise
        except Exception:  # storage, mostly: the runner meets it too, and says so
            self.report(Returned(held, held.delivery.due_at))

    async def _load_and_post(self, held: Held) -> None:
        who, size = held.endpoint.id, held.delivery.size
        await self.budget.take(who, size)
        try:
            body = await self.database.read(partial(body_of, event=held.delivery.event))
            if held.is_lost or self.clock() >= held.until:  # it has waited for its turn
                self.report(Returned(held, held.delivery.due_at))
            else:
                await self._post(held, body or b"")
        finally:
            self.budget.release(who, size)

    async def _post(self, held: Held, body: bytes) -> None:
        delivery, endpoint = held.delivery, held.endpoint
        number = delivery.attempts + 1
        now = self.clock()
        sent: dict[str, str] = {}
        try:
            sent = headers.build(
                source=delivery.source,
                event_type=delivery.event_type,
                event_id=delivery.event_id,
                delivery_id=delivery.delivery_id,
                attempt=number,
                signature=sign(endpoint.secrets(now), body, int(now)),
            )
        except ValueError as error:
            exchange = Exchange(now, 0.0, _NOTHING, None, None, None, {}, b"", str(error))
        else:
            exchange = await self.transport.post(endpoint.url, sent, body)
        self.report(self._finished(held, Sent(number, endpoint.host, sent, delivery.size), exchange))

    def _finished(self, held: Held, sent: Sent, exchange: Exchange) -> Finished:
        delivery, at, status = held.delivery, self.clock(), exchange.status
        answer = Answer(sent.number, status, exchange.retry_after, at)
        course = Course(delivery.max_attempts, self.settings.schedule)
        decision = decide(answer, course, self.draw())
        failed = decision.reason is not None or decision.due_at is not None
        error = _storable(exchange.error or f"answered {status}") if failed else None
        ended = Ended(
            delivery.delivery_id,
            held.token,
            delivery.subscription_id,
            delivery.organisation_id,
            delivery.kind != DeliveryKind.TEST,
            sent.number,
            decision.status,
            decision.reason,
            decision.due_at,
            int(exchange.started_at * 1000),
            int(at * 1000),
            status,
            error,
            record(sent, exchange, decision.due_at, decision.why),
        )
        return Finished(held, ended, exchange)


def _storable(text: str) -> str:
    """PostgreSQL takes neither a NUL nor half a character."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()
