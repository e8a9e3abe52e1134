"""What the API answers with: rendered envelopes, and the answer to every exception. Contract section 5."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from fastapi import Response

from kirimhook.contract.resources import envelope, list_envelope

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kirimhook.contract.codec import Resource
    from kirimhook.contract.errors import ApiError

ALWAYS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
"""On every answer: an answer can hold a secret."""


def encode(payload: Mapping[str, Any]) -> bytes:
    return json.dumps(payload, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def one(resource: Resource, request_id: str) -> bytes:
    """The body that answers with one resource."""
    return encode(envelope(resource, request_id))


def several(resources: Sequence[Resource], next_cursor: str | None, request_id: str) -> bytes:
    """The body that answers with one page."""
    return encode(list_envelope(list(resources), next_cursor, request_id))


def answer(status: int, body: bytes, headers: Mapping[str, str] | None = None) -> Response:
    """JSON, ready to be sent."""
    return Response(body, status, {**ALWAYS, **(headers or {})}, "application/json")


def nothing() -> Response:
    """204."""
    return Response(None, 204, ALWAYS)


def refusal(error: ApiError, request_id: str, headers: Mapping[str, str] | None = None) -> Response:
    """The answer to what was refused or could not be done, with what its status calls for."""
    more = dict(headers or {})
    retry_after = getattr(error, "retry_after", None)
    if retry_after is not None:
        more["retry-after"] = str(retry_after)
    if error.status == 401:
        more["www-authenticate"] = "Bearer"
    return answer(error.status, encode(error.envelope(request_id)), more)
