"""The table of calls: contract section 5, one line each. Routes and document are both made from it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

from fastapi import Response
from fastapi.routing import APIRoute

from kirimhook.contract.codec import Resource
from kirimhook.contract.resources import (
    BulkReplay,
    Delivery,
    EventReceipt,
    NewSecret,
    ReplayReceipt,
    Subscription,
)
from kirimhook.sender.api.admission import Publishing, Reading, Writing
from kirimhook.sender.api.routes import about, deliveries, events, subscriptions
from kirimhook.sender.service import Me

PREFIX = "/v1"


class Operation(NamedTuple):
    """One call: where, by whom it is carried out, what it answers when all is well, and how else it can end.

    `codes` are those of its own: what every call of its kind can be answered is added from its `route`.
    """

    method: str
    path: str
    endpoint: Callable[..., Coroutine[Any, Any, Response]]
    route: type[APIRoute]
    status: int
    answers: type[Resource] | None
    codes: tuple[str, ...] = ()
    is_page: bool = False

    @property
    def takes_key(self) -> bool:
        return self.route is not APIRoute


_SUBSCRIPTIONS = "/webhook_subscriptions"
_SUBSCRIPTION = "/webhook_subscriptions/{subscription_id}"
_DELIVERIES = "/webhook_deliveries"
_FIELDS = ("missing_required_field", "invalid_field_value")
_SUBSCRIBED = ("invalid_webhook_url", "unknown_event_type")
_PAGED = ("invalid_field_value", "invalid_limit", "invalid_cursor")
_NONE = "resource_not_found"
_GONE = "subscription_deleted"
_ERASED = "event_erased"

OPERATIONS = (
    # POST /events is first: the router goes down this list, and it is called the most.
    Operation(
        "POST", "/events", events.publish_events, Publishing, 202, EventReceipt, (*_FIELDS, "unknown_event_type")
    ),
    Operation(
        "POST",
        _SUBSCRIPTIONS,
        subscriptions.create_subscription,
        Writing,
        201,
        Subscription,
        (*_FIELDS, *_SUBSCRIBED),
    ),
    Operation(
        "GET", _SUBSCRIPTIONS, subscriptions.list_subscriptions, Reading, 200, Subscription, _PAGED, is_page=True
    ),
    Operation("GET", _SUBSCRIPTION, subscriptions.get_subscription, Reading, 200, Subscription, (_NONE,)),
    Operation(
        "PATCH",
        _SUBSCRIPTION,
        subscriptions.update_subscription,
        Writing,
        200,
        Subscription,
        ("invalid_field_value", *_SUBSCRIBED, _NONE),
    ),
    Operation("DELETE", _SUBSCRIPTION, subscriptions.delete_subscription, Writing, 204, None, (_NONE,)),
    Operation(
        "POST",
        f"{_SUBSCRIPTION}/secrets",
        subscriptions.create_secret,
        Writing,
        201,
        NewSecret,
        ("invalid_field_value", _NONE, "too_many_secrets"),
    ),
    Operation(
        "DELETE",
        f"{_SUBSCRIPTION}/secrets/{{secret_id}}",
        subscriptions.delete_secret,
        Writing,
        204,
        None,
        (_NONE, "last_active_secret"),
    ),
    Operation(
        "POST",
        f"{_SUBSCRIPTION}/test",
        subscriptions.send_test_event,
        Writing,
        202,
        Delivery,
        ("invalid_field_value", "unknown_event_type", _NONE),
    ),
    Operation(
        "GET",
        _DELIVERIES,
        deliveries.list_deliveries,
        Reading,
        200,
        Delivery,
        (*_PAGED, "unknown_event_type", _NONE),
        is_page=True,
    ),
    Operation(
        "POST",
        f"{_DELIVERIES}/bulk_replay",
        deliveries.bulk_replay,
        Writing,
        202,
        BulkReplay,
        (*_FIELDS, "unknown_event_type", _NONE, _GONE),
    ),
    Operation("GET", f"{_DELIVERIES}/{{delivery_id}}", deliveries.get_delivery, Reading, 200, Delivery, (_NONE,)),
    Operation(
        "POST",
        f"{_DELIVERIES}/{{delivery_id}}/replay",
        deliveries.replay_delivery,
        Writing,
        202,
        ReplayReceipt,
        ("invalid_field_value", _NONE, _GONE, _ERASED),
    ),
    Operation("GET", "/me", about.get_me, Reading, 200, Me),
    Operation("GET", "/health", about.get_health, APIRoute, 200, None),
    Operation("GET", "/openapi.json", about.get_openapi, APIRoute, 200, None),
)
