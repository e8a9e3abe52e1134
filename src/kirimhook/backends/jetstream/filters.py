"""Which events a `Filter` means."""

from __future__ import annotations

from kirimhook.receiver.inbox import Filter
from kirimhook.receiver.model import StoredEvent


def means(where: Filter, stored: StoredEvent) -> bool:
    """Whether the event is one of them."""
    event = stored.event
    return (
        (not where.states or stored.state in where.states)
        and (where.event_id is None or event.event_id == where.event_id)
        and (not where.types or any(_is_of(event.type, pattern) for pattern in where.types))
        and (where.received_after is None or event.received_at >= where.received_after)
        and (where.received_before is None or event.received_at < where.received_before)
        and (where.above is None or stored.number > where.above)
        and (where.below is None or stored.number < where.below)
        and (where.ordering_key is None or event.ordering_key == where.ordering_key)
    )


def _is_of(name: str, pattern: str) -> bool:
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern
