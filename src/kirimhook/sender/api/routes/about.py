"""Who asks, whether we are there, and what there is to ask."""

from __future__ import annotations

from fastapi import Request, Response

from kirimhook.sender.api.answers import answer, encode
from kirimhook.sender.api.front import exchange_of
from kirimhook.sender.api.parameters import Admitted


async def get_me(call: Admitted) -> Response:
    """Whose key this is."""
    return call.answer(await call.tenant.me(call.caller.key_id))


async def get_health(request: Request) -> Response:
    """Whether the API answers. It says nothing of the storage: that is the admin port's."""
    alive = {"object": "health", "status": "ok"}
    return answer(200, encode({"data": alive, "request_id": exchange_of(request.scope).request_id}))


async def get_openapi(request: Request) -> Response:
    """This document."""
    return answer(200, request.app.state.document())
