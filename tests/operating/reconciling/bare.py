"""An API that knows no more than is publicly documented: nothing of ours in its answers, and no delivery alone."""

from __future__ import annotations

import json
import re
from typing import Any

KNOWN = ("id", "object", "subscription_id", "event_id", "event_type", "status", "created_at")
_ALONE = re.compile(r"/v1/webhook_deliveries/wbd_\w+")


class Bare:
    """In front of an application that already refuses what only we accept."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if _ALONE.fullmatch(scope["path"]):
            error = {"type": "not_found", "code": "resource_not_found", "message": "no"}
            await _answer(send, 404, [], {"error": error})
            return
        sent: list[Any] = []

        async def kept(message: Any) -> None:
            sent.append(message)

        await self._app(scope, receive, kept)
        body = json.loads(b"".join(message.get("body", b"") for message in sent))
        if scope["path"] == "/v1/webhook_deliveries" and "data" in body:
            body["data"] = [{name: one[name] for name in KNOWN} for one in body["data"]]
        headers = [pair for pair in sent[0]["headers"] if pair[0].lower() != b"content-length"]
        await _answer(send, sent[0]["status"], headers, body)


async def _answer(send: Any, status: int, headers: list[tuple[bytes, bytes]], body: dict[str, Any]) -> None:
    content = json.dumps(body).encode()
    sized = [*headers, (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": sized})
    await send({"type": "http.response.body", "body": content})
