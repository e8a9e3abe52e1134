"""What the engine says of itself: log lines and metrics. Never a body, never a secret."""

from __future__ import annotations

import logging
from time import monotonic
from typing import Any

from kirimhook.contract.resources import DeliveryStatus
from kirimhook.observe import Meter, Observer
from kirimhook.sender.database import StorageUnavailable
from kirimhook.sender.engine.endpoints import Endpoint, Held
from kirimhook.sender.engine.results import Finished
from kirimhook.sender.store.settling import Disabled

OUTCOMES = {DeliveryStatus.SUCCEEDED: "succeeded", DeliveryStatus.FAILED: "failed", DeliveryStatus.DEAD: "dead"}


def _named(held: Held) -> dict[str, Any]:
    delivery = held.delivery
    return {
        "delivery_id": delivery.delivery_id,
        "subscription_id": delivery.subscription_id,
        "event_id": delivery.event_id,
        "type": delivery.event_type,
        "kind": delivery.kind,
        "attempt": delivery.attempts + 1,
    }


class Telemetry:
    """Lives on the engine's loop."""

    def __init__(self, observer: Observer, meter: Meter) -> None:
        self._observer = observer
        self._attempts = meter.counter("kirimhook_sender_attempts_total")
        self._finished = meter.counter("kirimhook_sender_finished_total")
        self._lost = meter.counter("kirimhook_sender_leases_lost_total")
        self._disabled = meter.counter("kirimhook_sender_disabled_total")
        self._seconds = meter.histogram("kirimhook_sender_attempt_seconds")
        self._delivered = meter.histogram("kirimhook_sender_delivered_seconds")
        self._gauges = meter.gauges
        self._halted_at: float | None = None

    def settled(self, finished: Finished) -> None:
        """An attempt was written down."""
        held, ended, exchange = finished
        self._attempts[OUTCOMES[ended.status]] += 1
        self._seconds.observe(exchange.duration_ms / 1000)
        if ended.due_at is None:
            self._finished[ended.status] += 1
        if ended.status is DeliveryStatus.SUCCEEDED:
            self._delivered.observe(max(ended.ended_at - held.delivery.created_at, 0) / 1000)
            if self._observer.is_enabled(logging.DEBUG):
                self._succeeded(finished)
        else:
            self._failed(finished)

    def _succeeded(self, finished: Finished) -> None:
        exchange = finished.exchange
        self._observer.event(
            "attempt_succeeded",
            status=exchange.status,
            address=exchange.address,
            milliseconds=round(exchange.duration_ms, 1),
            **_named(finished.held),
        )

    def _failed(self, finished: Finished) -> None:
        held, ended, exchange = finished
        named = _named(held)
        due_at = ended.due_at
        self._observer.event(
            "attempt_failed",
            status=exchange.status,
            reason=exchange.error,
            address=exchange.address,
            milliseconds=round(exchange.duration_ms, 1),
            delay=None if due_at is None else round((due_at - ended.ended_at) / 1000, 1),
            **named,
        )
        if due_at is None:
            self._observer.event(
                "dead_letter", why=ended.dead_reason, status=exchange.status, reason=exchange.error, **named
            )

    def disabled(self, disabled: Disabled) -> None:
        self._disabled[disabled.reason] += 1
        self._observer.event(
            "subscription_disabled", subscription_id=disabled.subscription_id, why=disabled.reason, held=disabled.held
        )

    def lost(self, held: Held) -> None:
        self._lost[""] += 1
        self._observer.event("delivery_lost", **_named(held))

    def unusable(self, endpoint: Endpoint) -> None:
        self._observer.event("endpoint_unusable", subscription_id=endpoint.id, reason=endpoint.problem)

    def stale(self, error: Exception) -> None:
        self._observer.event("endpoints_stale", reason=repr(error))

    def unsummed(self, error: Exception) -> None:
        self._observer.event("minutes_not_written", reason=repr(error))

    def outage(self, error: Exception | None) -> None:
        if error is None:
            since, self._halted_at = self._halted_at, None
            self._observer.event("engine_resumed", seconds=None if since is None else round(monotonic() - since, 3))
            return
        self._halted_at = monotonic()
        if isinstance(error, StorageUnavailable):
            self._observer.event("engine_halted", reason=str(error))
        else:
            self._observer.event("engine_halted", error=error, reason=repr(error))

    def started(self) -> None:
        self._observer.event("engine_started")

    def stopping(self, held: int) -> None:
        self._observer.event("engine_stopping", held=held)

    def stopped(self, abandoned: int) -> None:
        self._observer.event("engine_stopped", abandoned=abandoned or None)

    def gauge(self, held: int, in_flight: int) -> None:
        self._gauges["kirimhook_sender_held"] = held
        self._gauges["kirimhook_sender_in_flight"] = in_flight

    def oldest(self, seconds: float) -> None:
        self._gauges["kirimhook_sender_oldest_due_seconds"] = seconds
