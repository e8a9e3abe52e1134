"""A server that speaks only what the contract marks [seed] and [docs]: every field, header, call and parameter that is
[ours] is missing, and one that is asked for all the same is refused.

Recorded from the guide's own examples (section 5 of the contract), with ids made up.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from kirimhook.testing.endpoint import Answer, Request, Respond
from tests.client.asking import KEY

AT = "2026-05-23T10:00:00Z"
EVENTS = [
    "message.received",
    "message.status",
    "conversation.assigned",
    "conversation.closed",
    "contact.created",
    "contact.updated",
]
FILTERS = {"subscription_id", "status", "event_type", "created_after", "created_before", "limit", "cursor"}
BULK = {"subscription_id", "status", "event_type", "created_after", "created_before"}
LATER = {"invented_later": {"by": ["them"]}}
"""A field that nobody knows, on everything."""


class Recorded:
    """`choose` answers a request. Pages hold two deliveries; the second page is empty, and is not the last."""

    def __init__(self) -> None:
        self.subscriptions: dict[str, dict[str, Any]] = {}
        self.deliveries = [self._delivery(number) for number in range(5)]
        self.answered: dict[str, Answer] = {}
        """By idempotency key. [docs]"""

    def choose(self, request: Request) -> Answer:
        parts = urlsplit(request.target)
        query = dict(parse_qsl(parts.query, strict_parsing=True)) if parts.query else {}
        if request.header("Authorization") != f"Bearer {KEY}":
            return self._error(401, "authentication_error", "invalid_api_key")
        key = request.header("Idempotency-Key")
        if key in self.answered:
            return self.answered[key]
        body = json.loads(request.body) if request.body else {}
        answer = self._answer(request.method, parts.path.removeprefix("/v1/").split("/"), query, body)
        if key:
            self.answered[key] = answer
        return answer

    def _answer(self, method: str, path: list[str], query: dict[str, str], body: dict[str, Any]) -> Answer:
        match method, path:
            case "POST", ["webhook_subscriptions"]:
                return self._create(body)
            case "GET", ["webhook_subscriptions"]:
                return self._page(list(self.subscriptions.values()), None)
            case "GET" | "PATCH" | "DELETE", ["webhook_subscriptions", one] if one in self.subscriptions:
                return self._subscription(method, one, body)
            case "POST", ["webhook_subscriptions", one, "secrets"] if one in self.subscriptions:
                return self._secret(one, body)
            case "DELETE", ["webhook_subscriptions", one, "secrets", secret] if one in self.subscriptions:
                kept = [held for held in self.subscriptions[one]["secrets"] if held["id"] != secret]
                self.subscriptions[one]["secrets"] = kept
                return Respond(204)
            case "GET", ["webhook_deliveries"]:
                return self._list(query)
            case "POST", ["webhook_deliveries", "bulk_replay"] if set(body) <= BULK:
                return self._one({"enqueued": 5, "capped": False}, 202)
            case "POST", ["webhook_deliveries", one, "replay"] if not body:
                again = {"id": "wbd_new", "object": "webhook_delivery", "replayed_from": one, "status": "pending"}
                return self._one(again, 202)
        return self._error(404, "not_found", "resource_not_found")

    def _create(self, body: dict[str, Any]) -> Answer:
        if not body["url"].startswith("https://"):
            return self._error(400, "invalid_request_error", "invalid_webhook_url", "url")
        made = {
            "id": f"wbs_{len(self.subscriptions) + 1}",
            "object": "webhook_subscription",
            "url": body["url"],
            "status": "active",
            "events": body["events"],
            "secrets": [{"id": "sec_1", "created_at": AT, "expires_at": None, **LATER}],
        }
        self.subscriptions[made["id"]] = made
        return self._one({**made, "initial_secret": "whsec_first"}, 201)

    def _subscription(self, method: str, one: str, body: dict[str, Any]) -> Answer:
        if method == "DELETE":
            del self.subscriptions[one]
            return Respond(204)
        self.subscriptions[one].update(body)
        return self._one(self.subscriptions[one])

    def _secret(self, one: str, body: dict[str, Any]) -> Answer:
        made = {"id": f"sec_{len(self.subscriptions[one]['secrets']) + 1}", "created_at": AT, "expires_at": None}
        self.subscriptions[one]["secrets"].append(made)
        return self._one({**made, "object": "webhook_secret", "secret": "whsec_second"}, 201)

    def _list(self, query: dict[str, str]) -> Answer:
        if set(query) - FILTERS:
            return self._error(400, "invalid_request_error", "invalid_field_value", "kind")
        pages: dict[str | None, tuple[list[dict[str, Any]], str | None]] = {
            None: (self.deliveries[:2], "c1"),
            "c1": ([], "c2"),
            "c2": (self.deliveries[2:4], "c3"),
            "c3": (self.deliveries[4:], None),
        }
        if query.get("cursor") not in pages:
            return self._error(400, "invalid_request_error", "invalid_cursor", "cursor")
        items, following = pages[query.get("cursor")]
        return self._page(items, following)

    def _delivery(self, number: int) -> dict[str, Any]:
        return {
            "id": f"wbd_{number}",
            "object": "webhook_delivery",
            "subscription_id": "wbs_1",
            "event_id": f"evt_{number}",
            "event_type": "contact.created",
            "status": "dead",
            "created_at": AT,
        }

    def _one(self, data: dict[str, Any], status: int = 200) -> Answer:
        return self._respond(status, {"data": {**data, **LATER}, "request_id": "req_1", **LATER})

    def _page(self, items: list[dict[str, Any]], following: str | None) -> Answer:
        data = [{**item, **LATER} for item in items]
        more = {"has_more": following is not None, "next_cursor": following, "request_id": "req_1"}
        return self._respond(200, {"data": data, **more, **LATER})

    def _error(self, status: int, kind: str, code: str, param: str | None = None) -> Answer:
        said = {"type": kind, "code": code, "message": "no", "request_id": "req_2"}
        return self._respond(status, {"error": said | ({"param": param} if param else {}) | LATER})

    def _respond(self, status: int, body: dict[str, Any]) -> Answer:
        return Respond(status, json.dumps(body).encode(), headers=(("Content-Type", "application/json"),))
