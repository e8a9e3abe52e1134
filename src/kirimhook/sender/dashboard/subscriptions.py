"""The pages of subscriptions that only show: the list, with how each fares, and one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode

from starlette.responses import Response

from kirimhook.contract.resources import Subscription, SubscriptionStatus
from kirimhook.sender.dashboard import once
from kirimhook.sender.dashboard.place import PREFIX
from kirimhook.sender.model import DisabledReason
from kirimhook.sender.service import DeliveryFilter

if TYPE_CHECKING:
    from kirimhook.sender.dashboard.visit import Visit
    from kirimhook.sender.service.health import Health

LATEST = 5
"""Deliveries shown beside a subscription."""
DONE = {
    "updated": "The subscription was changed.",
    "enabled": "The subscription is enabled: its deliveries are attempted again.",
    "disabled": "The subscription is disabled: its deliveries are held.",
    "deleted": "The subscription was deleted.",
    "secret_deleted": "The secret was deleted: deliveries are no longer signed with it.",
}
"""What a page says at the end of a form, by the parameter `done`."""


class Listed(NamedTuple):
    """A subscription and how it fares. It may have been deleted between the two: then `health` is None."""

    subscription: Subscription
    health: Health | None


async def show_all(visit: Visit) -> Response:
    """Newest first, kept up to date."""

    async def load() -> dict[str, object]:
        page = await visit.tenant.subscriptions(cursor=visit.query.get("cursor"))
        fares = await visit.tenant.health([one.id for one in page.items])
        return {
            "done": DONE.get(visit.query.get("done", "")),
            "listed": [Listed(one, fares.get(one.id)) for one in page.items],
            "first": path() if "cursor" in visit.query else None,
            "next": page.next_cursor and f"{path()}?{urlencode({'cursor': page.next_cursor})}",
            "why": why_disabled,
        }

    return await visit.show("subscriptions.html", load, regions=["list"])


async def show(visit: Visit) -> Response:
    """One, with what it has waiting and its latest deliveries; those are kept up to date."""
    subscription_id, token = visit.param("subscription_id"), once.new()

    async def load() -> dict[str, object]:
        shared = await known(visit, subscription_id)
        latest = await visit.tenant.deliveries(DeliveryFilter(subscription_id), LATEST)
        return {
            **shared,
            "done": DONE.get(visit.query.get("done", "")),
            "latest": latest.items,
            "types": choices(visit),
            "once": token,
        }

    return await visit.show("subscription.html", load, regions=["state", "latest"])


async def known(visit: Visit, subscription_id: str) -> dict[str, Any]:
    """What the templates of one subscription have in common. Raises ApiError `resource_not_found`."""
    subscription = await visit.tenant.subscription(subscription_id)
    fares = await visit.tenant.health([subscription_id], with_times=True)
    return {
        "one": subscription,
        "here": path(subscription_id),
        "health": fares.get(subscription_id),
        "why": why_disabled(subscription),
        "is_disabled": subscription.status is SubscriptionStatus.DISABLED,
        "limit": visit.settings.disable_after,
        "bound": visit.settings.held_bound,
        "max_secrets": visit.settings.max_secrets,
        "retention": visit.settings.retention,
    }


def choices(visit: Visit) -> list[tuple[str, str]]:
    """The event types, for a choice of one."""
    return [(name, name) for name in visit.settings.catalogue]


def path(*parts: str) -> str:
    """Of a page of subscriptions, with the prefix."""
    return "/".join([f"{PREFIX}/subscriptions", *parts])


def why_disabled(subscription: Subscription) -> str | None:
    """In words; None where it is active."""
    if subscription.status is SubscriptionStatus.ACTIVE:
        return None
    reasons: dict[str | None, str] = {
        DisabledReason.MANUAL: "somebody disabled it",
        DisabledReason.CONSECUTIVE_FAILURES: "too many of its deliveries died in a row",
        DisabledReason.GONE: "its endpoint answered 410 Gone",
    }
    return reasons.get(subscription.disabled_reason, f"reason: {subscription.disabled_reason}")
