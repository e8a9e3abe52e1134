"""Publishing, which our sender's API has and the hosted one does not. Contract section 5. No I/O."""

from __future__ import annotations

from collections.abc import Mapping

from kirimhook.client import answers, calls
from kirimhook.client.calls import Call
from kirimhook.contract.headers import EVENT, EVENT_ID, SOURCE
from kirimhook.contract.resources import EventReceipt

_ALL = "/events"


def publish(
    *,
    type: str,  # noqa: A002  # the name it travels under
    data: Mapping[str, object],
    id: str | None = None,  # noqa: A002  # the name it travels under
    idempotency_key: str | None = None,
) -> Call[EventReceipt]:
    """Store an event and have it delivered to every subscription that wants its type.

    The same id twice is one event. Raises ArgumentError for data that is no JSON.
    """
    return calls.post(_ALL, answers.one(EventReceipt), {"type": type, "data": data, "id": id}, idempotency_key)


def publish_raw(
    body: bytes,
    *,
    source: str,
    type: str,  # noqa: A002  # the name it travels under
    event_id: str,
    idempotency_key: str | None = None,
) -> Call[EventReceipt]:
    """Have a body delivered byte for byte."""
    headers = {SOURCE: source, EVENT: type, EVENT_ID: event_id}
    return calls.post(_ALL, answers.one(EventReceipt), body, idempotency_key, headers)
