"""What can be asked of webhook subscriptions and of their secrets. Contract section 5. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from kirimhook.client import answers, calls
from kirimhook.client.answers import Page
from kirimhook.client.calls import UNSET, Call, Unset
from kirimhook.contract.resources import Delivery, NewSecret, Subscription, SubscriptionStatus

Status = SubscriptionStatus | Literal["active", "disabled"]
Held = Literal["deliver", "discard"]

_ALL = "/webhook_subscriptions"


def create(
    *, url: str, events: Sequence[str], description: str | None = None, idempotency_key: str | None = None
) -> Call[Subscription]:
    """Have these events delivered to this https URL.

    The result has `initial_secret`, which the API shows this once.
    """
    body = {"url": url, "events": list(events), "description": description}
    return calls.post(_ALL, answers.one(Subscription), body, idempotency_key)


def every(*, limit: int = 100) -> Call[Page[Subscription]]:
    """All subscriptions, the newest first. `limit`: how many a page, 1 to 100."""
    return calls.get(_ALL, answers.page(Subscription), limit=limit)


def get(subscription_id: str) -> Call[Subscription]:
    """One subscription; its secrets without their values."""
    return calls.get(_one(subscription_id), answers.one(Subscription))


def update(
    subscription_id: str,
    *,
    url: str | Unset = UNSET,
    description: str | Unset | None = UNSET,
    events: Sequence[str] | Unset = UNSET,
    status: Status | Unset = UNSET,
    held: Held | Unset = UNSET,
) -> Call[Subscription]:
    """Change what is given. `held` goes with `status="active"`: what becomes of the deliveries that were held."""
    body = {
        "url": url,
        "description": description,
        "events": events if events is UNSET else list(events),
        "status": status,
        "held": held,
    }
    return calls.patch(_one(subscription_id), answers.one(Subscription), body)


def delete(subscription_id: str) -> Call[None]:
    """Delete it. Its open deliveries become dead letters."""
    return calls.delete(_one(subscription_id), answers.nothing)


def send_test(subscription_id: str, *, event: str | None = None, idempotency_key: str | None = None) -> Call[Delivery]:
    """Send a sample event, with `livemode: false`, to this one subscription."""
    return calls.post(f"{_one(subscription_id)}/test", answers.one(Delivery), {"event": event}, idempotency_key)


def create_secret(
    subscription_id: str, *, expires_in_hours: float | None = None, idempotency_key: str | None = None
) -> Call[NewSecret]:
    """Add a signing secret. The result has its value, which the API shows this once."""
    body = {"expires_in_hours": expires_in_hours}
    return calls.post(f"{_one(subscription_id)}/secrets", answers.one(NewSecret), body, idempotency_key)


def delete_secret(subscription_id: str, secret_id: str) -> Call[None]:
    """No delivery is signed with it any more. The last one in force is a Conflict, `last_active_secret`."""
    path = f"{_one(subscription_id)}/secrets/{calls.segment(secret_id)}"
    return calls.delete(path, answers.nothing)


def _one(subscription_id: str) -> str:
    return f"{_ALL}/{calls.segment(subscription_id)}"
