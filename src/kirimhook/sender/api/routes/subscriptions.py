"""Who wants which events, and the secrets that their deliveries are signed with."""

from __future__ import annotations

from typing import Annotated

from fastapi import Body, Response

from kirimhook.contract.errors import ApiError
from kirimhook.contract.resources import SubscriptionStatus
from kirimhook.sender.api.answers import nothing
from kirimhook.sender.api.parameters import Admitted, CursorQuery, LimitQuery, SecretPath, SubscriptionPath
from kirimhook.sender.api.requests import (
    DEFAULT_PAGE,
    NewSubscription,
    SecretOptions,
    SubscriptionChanges,
    TestOptions,
)
from kirimhook.sender.model import Held
from kirimhook.sender.service import Changes


async def create_subscription(call: Admitted, new: NewSubscription) -> Response:
    """Create a subscription.

    The answer holds `initial_secret`, this once: it cannot be shown again.
    """
    made = await call.once(201).create_subscription(new.url, new.events, new.description)
    return call.answer(made, 201)


async def list_subscriptions(call: Admitted, limit: LimitQuery = DEFAULT_PAGE, cursor: CursorQuery = None) -> Response:
    """List subscriptions, the newest first."""
    return call.page(await call.tenant.subscriptions(limit, cursor))


async def get_subscription(call: Admitted, subscription_id: SubscriptionPath) -> Response:
    """Get one subscription. Its secrets are listed without their values."""
    return call.answer(await call.tenant.subscription(subscription_id))


async def update_subscription(
    call: Admitted, subscription_id: SubscriptionPath, changes: SubscriptionChanges
) -> Response:
    """Change a subscription.

    `status: "disabled"` holds its deliveries, `status: "active"` resumes them and forgets earlier failures;
    `held` then says whether what was held is delivered, behind live traffic, or discarded.
    """
    return call.answer(await call.tenant.update_subscription(subscription_id, _changes(changes)))


async def delete_subscription(call: Admitted, subscription_id: SubscriptionPath) -> Response:
    """Delete a subscription. Its open deliveries become dead letters; they stay listed until they are purged."""
    await call.tenant.delete_subscription(subscription_id)
    return nothing()


async def create_secret(
    call: Admitted, subscription_id: SubscriptionPath, options: Annotated[SecretOptions | None, Body()] = None
) -> Response:
    """Add a signing secret, for a rotation.

    The answer holds it in plain, this once. From now on deliveries are signed with every secret in force.
    """
    hours = options.expires_in_hours if options else None
    return call.answer(await call.once(201).add_secret(subscription_id, hours), 201)


async def delete_secret(call: Admitted, subscription_id: SubscriptionPath, secret_id: SecretPath) -> Response:
    """Delete a signing secret, which ends a rotation. The last one in force cannot be deleted."""
    await call.tenant.remove_secret(subscription_id, secret_id)
    return nothing()


async def send_test_event(
    call: Admitted, subscription_id: SubscriptionPath, options: Annotated[TestOptions | None, Body()] = None
) -> Response:
    """Send a sample event, with `livemode: false`, to this one subscription."""
    event_type = options.event if options else None
    return call.answer(await call.once(202).test(subscription_id, event_type), 202)


def _changes(said: SubscriptionChanges) -> Changes:
    given = said.model_fields_set
    if "held" in given and not ("status" in given and said.status == "active"):
        raise ApiError("invalid_field_value", 'goes with status "active"', param="held")
    return Changes(
        url=said.url if "url" in given else None,
        description=said.description or "" if "description" in given else None,
        events=said.events if "events" in given else None,
        status=SubscriptionStatus(said.status) if "status" in given else None,
        held=Held(said.held) if "held" in given else None,
    )
