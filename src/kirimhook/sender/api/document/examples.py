"""The examples of the document: the guide's own requests, and payloads from `contract.samples`."""

from __future__ import annotations

import json
from typing import Any

from kirimhook.contract import samples
from kirimhook.contract.events import DOCUMENTED_TYPES

REQUEST_ID = "req_01JVYQ4X8N6T3F0R2M5K7H9C1A"
_SUBSCRIPTION_ID = "wbs_01JVYQ4X8N6T3F0R2M5K7H9C1B"
_SECRET_ID = "sec_01JVYQ4X8N6T3F0R2M5K7H9C1C"  # noqa: S105  # the id of one, an example
_DELIVERY_ID = "wbd_01JVYQ4X8N6T3F0R2M5K7H9C1D"
_REPLAY_ID = "wbd_01JVYQ4X8N6T3F0R2M5K7H9C1E"
_EVENT_ID = "evt_01JVYQ4X8N6T3F0R2M5K7H9C1F"
_CREATED = "2026-05-23T10:00:00Z"
_URL = "https://your-server.example.com/kirim-webhook"
_NEW_SECRET = "whsec_" + "0123456789abcdef" * 2 + "0123456789a"

MESSAGES = {
    "invalid_webhook_url": "the URL must be https",
    "unknown_event_type": "there is no event type order.created",
    "missing_required_field": "is required",
    "invalid_field_value": "must be a valid value",
    "invalid_json": "the body is not JSON",
    "invalid_limit": "must be from 1 to 100",
    "invalid_cursor": "the cursor is not one of this list",
    "missing_api_key": "the header Authorization: Bearer kdv_live_… is missing",
    "invalid_api_key": "there is no such key",
    "expired_api_key": "the key has expired",
    "revoked_api_key": "the key was revoked",
    "resource_not_found": "there is nothing with this id",
    "last_active_secret": "the last secret in force cannot be deleted",
    "too_many_secrets": "there are 5 secrets in force",
    "subscription_deleted": "the subscription was deleted",
    "event_erased": "what the event held was erased on request",
    "idempotency_key_reuse": "the key was used for another request",
    "idempotency_in_progress": "a request with this key is under way",
    "payload_too_large": "the body of this call may have 65536 bytes",
    "unsupported_media_type": "the content type must be application/json",
    "rate_limit_exceeded": "more than 600 calls a minute",
    "internal_error": "something went wrong on our side",
    "service_unavailable": "storage is not available at the moment: try again",
}

_SUBSCRIPTION: dict[str, Any] = {
    "object": "webhook_subscription",
    "id": _SUBSCRIPTION_ID,
    "url": _URL,
    "description": "Production handler",
    "status": "active",
    "disabled_reason": None,
    "events": list(DOCUMENTED_TYPES),
    "secrets": [{"id": _SECRET_ID, "created_at": _CREATED, "expires_at": None}],
    "created_at": _CREATED,
}
_DELIVERY: dict[str, Any] = {
    "object": "webhook_delivery",
    "id": _DELIVERY_ID,
    "subscription_id": _SUBSCRIPTION_ID,
    "event_id": _EVENT_ID,
    "event_type": "contact.created",
    "source": "kirim",
    "kind": "original",
    "status": "dead",
    "dead_reason": "rejected",
    "attempt_count": 1,
    "max_attempts": 8,
    "next_attempt_at": None,
    "last_attempt_at": "2026-05-23T10:00:01Z",
    "response_status": 404,
    "last_error": "answered 404",
    "created_at": _CREATED,
    "finished_at": "2026-05-23T10:00:01Z",
    "replayed_from": None,
    "replayed_by": None,
}
_ATTEMPT: dict[str, Any] = {
    "number": 1,
    "started_at": "2026-05-23T10:00:01Z",
    "duration_ms": 41.5,
    "timing": {"dns": 1.2, "connect": 9.8, "tls": 18.1, "first_byte": 12.4},
    "address": "203.0.113.7",
    "request_headers": {
        "Content-Type": "application/json",
        "User-Agent": "Kirim-Webhook/1.0",
        "X-Kirim-Source": "kirim",
        "X-Kirim-Event": "contact.created",
        "X-Kirim-Event-Id": _EVENT_ID,
        "X-Kirim-Delivery-Id": _DELIVERY_ID,
        "X-Kirim-Attempt": "1",
        "X-Kirim-Signature": "t=1779530401,v1=****",
    },
    "response_status": 404,
    "response_headers": {"content-type": "text/plain"},
    "response_body": "not found",
    "error": None,
    "next_attempt_at": None,
    "why_next": "a 404 is permanent",
}
_RECEIPT = {"object": "event", "id": _EVENT_ID, "deliveries": 1, "duplicate": False}


def _one(data: dict[str, Any]) -> dict[str, Any]:
    return {"example": {"value": {"data": data, "request_id": REQUEST_ID}}}


def _page(data: dict[str, Any]) -> dict[str, Any]:
    page = {"data": [data], "has_more": False, "next_cursor": None, "request_id": REQUEST_ID}
    return {"example": {"value": page}}


ANSWERS: dict[str, dict[str, Any]] = {
    "create_subscription": _one({**_SUBSCRIPTION, "initial_secret": _NEW_SECRET}),
    "list_subscriptions": _page(_SUBSCRIPTION),
    "get_subscription": _one(_SUBSCRIPTION),
    "update_subscription": _one(_SUBSCRIPTION),
    "create_secret": _one(
        {
            "object": "webhook_secret",
            "id": _SECRET_ID,
            "created_at": _CREATED,
            "expires_at": None,
            "secret": _NEW_SECRET,
        }
    ),
    "send_test_event": _one(
        {
            **_DELIVERY,
            "kind": "test",
            "status": "pending",
            "dead_reason": None,
            "attempt_count": 0,
            "next_attempt_at": _CREATED,
            "last_attempt_at": None,
            "response_status": None,
            "last_error": None,
            "finished_at": None,
        }
    ),
    "list_deliveries": _page(_DELIVERY),
    "get_delivery": _one({**_DELIVERY, "attempts": [_ATTEMPT]}),
    "replay_delivery": _one(
        {"object": "webhook_delivery", "id": _REPLAY_ID, "replayed_from": _DELIVERY_ID, "status": "pending"}
    ),
    "bulk_replay": _one({"enqueued": 1000, "capped": True, "last_created_at": _CREATED}),
    "publish_events": {
        "one": {"value": {"data": _RECEIPT, "request_id": REQUEST_ID}},
        "several": {"value": {"data": [_RECEIPT], "has_more": False, "next_cursor": None, "request_id": REQUEST_ID}},
    },
    "get_me": _one(
        {
            "object": "organisation",
            "id": "org_01JVYQ4X8N6T3F0R2M5K7H9C1G",
            "name": "acme",
            "created_at": _CREATED,
            "key": {
                "object": "api_key",
                "id": "key_01JVYQ4X8N6T3F0R2M5K7H9C1H",
                "first": "kdv_live_0a1",
                "last": "Zx9_",
                "created_at": _CREATED,
                "expires_at": None,
                "revoked_at": None,
            },
        }
    ),
    "get_health": {"example": {"value": {"data": {"object": "health", "status": "ok"}, "request_id": REQUEST_ID}}},
}

_WANTED: dict[str, Any] = {"url": _URL, "events": list(DOCUMENTED_TYPES), "description": "Production handler"}

REQUESTS: dict[str, dict[str, Any]] = {
    "create_subscription": {"guide": {"value": _WANTED}},
    "update_subscription": {
        "disable": {"value": {"status": "disabled"}},
        "enable": {"value": {"status": "active", "held": "discard"}},
    },
    "create_secret": {"for a week": {"value": {"expires_in_hours": 168}}, "for good": {"value": {}}},
    "send_test_event": {"usual": {"value": {}}, "another": {"value": {"event": "conversation.closed"}}},
    "bulk_replay": {
        "guide": {
            "value": {"subscription_id": _SUBSCRIPTION_ID, "status": "dead", "created_after": "2026-05-20T00:00:00Z"}
        },
        "by their ids": {"value": {"subscription_id": _SUBSCRIPTION_ID, "ids": [_DELIVERY_ID], "unreplayed": True}},
    },
}


def published() -> dict[str, Any]:
    """Events to publish: the documented samples."""
    told = [json.loads(samples.load(name).body) for name in ("contact.created", "conversation.closed")]
    events = [{"type": body["type"], "data": body["data"]} for body in told]
    return {"one": {"value": events[0]}, "several": {"value": {"events": events}}}


def raw() -> dict[str, Any]:
    """A body of Meta's, to be published as it is."""
    return {"meta": {"value": samples.load("message.received").body.decode()}}
