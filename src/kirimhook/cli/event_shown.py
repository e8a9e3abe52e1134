"""A stored event as data and as text. Never its body: that is asked for by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kirimhook.cli.moments import span, stamp

if TYPE_CHECKING:
    from kirimhook.receiver.model import StoredEvent

COLUMNS = ("NUMBER", "STATE", "TYPE", "EVENT ID", "AGE", "TRIES", "DUE OR DONE", "REASON")
LONG = ("EVENT ID", "REASON")
"""Shortened on a narrow terminal; `show` and `--json` have them whole."""


def as_json(stored: StoredEvent) -> dict[str, Any]:
    """Every field but the body. Times are ISO 8601 in UTC."""
    event = stored.event
    return {
        "number": stored.number,
        "state": stored.state.value,
        "type": event.type,
        "event_id": event.event_id,
        "source": event.source,
        "ordering_key": event.ordering_key,
        "livemode": event.livemode,
        "problem": event.problem,
        "delivery_id": event.delivery_id,
        "dedupe_key": event.dedupe_key.hex(),
        "received_at": stamp(event.received_at),
        "due_at": stamp(stored.due_at),
        "finished_at": stamp(stored.finished_at),
        "attempts": stored.attempts,
        "reason": stored.reason,
        "body_bytes": len(event.body) if stored.has_payload else None,
    }


def as_row(stored: StoredEvent, now_ms: int) -> tuple[object, ...]:
    event = stored.event
    return (
        stored.number,
        stored.state.value,
        event.type,
        event.event_id,
        span(max(0, now_ms - event.received_at) / 1000),
        stored.attempts,
        _when(stored, now_ms),
        _last_line(stored.reason),
    )


def _when(stored: StoredEvent, now_ms: int) -> str:
    if stored.finished_at is not None:
        return f"{span(max(0, now_ms - stored.finished_at) / 1000)} ago"
    if stored.due_at is None:
        return "behind another"
    return "now" if stored.due_at <= now_ms else f"in {span((stored.due_at - now_ms) / 1000)}"


def _last_line(reason: str | None) -> str | None:
    """Of a traceback: the exception."""
    lines = (reason or "").strip().splitlines()
    return lines[-1] if lines else None
