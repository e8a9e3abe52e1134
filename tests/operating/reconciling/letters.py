"""Dead letters for tests, and hypothesis strategies of what can be known of one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from kirimhook.contract import ids
from kirimhook.contract.ids import DeliveryId, SubscriptionId
from kirimhook.contract.resources import Delivery, DeliveryKind, DeliveryStatus
from kirimhook.operating.reconciling.letters import Letter, letter
from kirimhook.operating.reconciling.verdicts import DAY, Facts
from kirimhook.receiver.model import EventState

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
SUBSCRIPTION = SubscriptionId("wbs_" + "0" * 26)

facts = st.builds(
    Facts,
    is_test=st.booleans(),
    is_erased=st.booleans(),
    is_replayed=st.booleans(),
    was_discarded=st.booleans(),
    age=st.none() | st.floats(0, 90 * DAY),
    is_told=st.booleans(),
    state=st.none() | st.sampled_from(EventState),
    rounds=st.integers(0, 6),
    tries=st.integers(0, 12),
)


def delivery_id(serial: int) -> DeliveryId:
    return DeliveryId(ids.make(ids.DELIVERY, serial, bytes(10)))


def delivery(serial: int = 0, **changed: Any) -> Delivery:
    """A dead letter of its own event, `contact.created` of kirim."""
    usual: dict[str, Any] = {
        "id": delivery_id(serial),
        "subscription_id": SUBSCRIPTION,
        "event_id": f"evt_{serial}",
        "event_type": "contact.created",
        "source": "kirim",
        "kind": DeliveryKind.ORIGINAL,
        "status": DeliveryStatus.DEAD,
        "dead_reason": "attempts_exhausted",
        "attempt_count": 8,
        "max_attempts": 8,
        "next_attempt_at": None,
        "last_attempt_at": NOW,
        "response_status": 503,
        "last_error": None,
        "created_at": NOW,
        "finished_at": NOW,
        "replayed_from": None,
        "replayed_by": None,
    }
    return Delivery(**{**usual, **changed})


def dead(serial: int = 0, **changed: Any) -> Letter:
    return letter(delivery(serial, **changed))
