"""The API's errors: each code with its type and HTTP status, the envelope both ways, whose fault it is.

Contract section 5: `{"error": {"type", "code", "message", "param"?, "request_id"}}`.
"""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Any, NamedTuple


class ErrorType(StrEnum):
    """The family of a code."""

    INVALID_REQUEST = "invalid_request_error"
    AUTHENTICATION = "authentication_error"
    PERMISSION = "permission_error"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    RATE_LIMIT = "rate_limit_error"
    API = "api_error"


class Fault(StrEnum):
    """Who has to change something: the one who asked, or the one who answered."""

    CALLER = "caller"
    SERVICE = "service"


class Kind(NamedTuple):
    """What a code means to HTTP."""

    type: ErrorType
    status: int


_INVALID = Kind(ErrorType.INVALID_REQUEST, 400)
_UNAUTHENTICATED = Kind(ErrorType.AUTHENTICATION, 401)
_CONFLICT = Kind(ErrorType.CONFLICT, 409)

CODES: dict[str, Kind] = {
    "invalid_webhook_url": _INVALID,
    "unknown_event_type": _INVALID,
    "missing_required_field": _INVALID,
    "invalid_field_value": _INVALID,
    "invalid_json": _INVALID,
    "invalid_limit": _INVALID,
    "invalid_cursor": _INVALID,
    "missing_api_key": _UNAUTHENTICATED,
    "invalid_api_key": _UNAUTHENTICATED,
    "expired_api_key": _UNAUTHENTICATED,
    "revoked_api_key": _UNAUTHENTICATED,
    "resource_not_found": Kind(ErrorType.NOT_FOUND, 404),
    "method_not_allowed": Kind(ErrorType.INVALID_REQUEST, 405),
    "last_active_secret": _CONFLICT,
    "too_many_secrets": _CONFLICT,
    "subscription_deleted": _CONFLICT,
    "event_erased": _CONFLICT,
    "idempotency_in_progress": _CONFLICT,
    "idempotency_key_reuse": Kind(ErrorType.INVALID_REQUEST, 422),
    "payload_too_large": Kind(ErrorType.INVALID_REQUEST, 413),
    "unsupported_media_type": Kind(ErrorType.INVALID_REQUEST, 415),
    "rate_limit_exceeded": Kind(ErrorType.RATE_LIMIT, 429),
    "internal_error": Kind(ErrorType.API, 500),
    "service_unavailable": Kind(ErrorType.API, 503),
}

_TYPE_BY_STATUS = {
    401: ErrorType.AUTHENTICATION,
    403: ErrorType.PERMISSION,
    404: ErrorType.NOT_FOUND,
    409: ErrorType.CONFLICT,
    429: ErrorType.RATE_LIMIT,
}


class ApiError(Exception):
    """An answer that is not what was asked for. Raised by the API's use cases and by the client alike.

    `kind` is looked up from the code where it is not given; an unknown code without one is a KeyError.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        param: str | None = None,
        request_id: str | None = None,
        kind: Kind | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.param = param
        self.request_id = request_id
        self.type, self.status = kind or CODES[code]

    @property
    def fault(self) -> Fault:
        """Whose: a caller's error stays one however often it is repeated; the service's may pass."""
        return Fault.SERVICE if self.type is ErrorType.API else Fault.CALLER

    def envelope(self, request_id: str) -> dict[str, Any]:
        """The body of the answer to this request."""
        error = {
            "type": self.type.value,
            "code": self.code,
            "message": self.message,
            "request_id": request_id,
        }
        return {"error": error if self.param is None else {**error, "param": self.param}}


def parse(status: int, body: bytes) -> ApiError:
    """The error in an answer. Never raises: a proxy's page and a code of a later version are errors too."""
    error = _error_object(body)
    code = _text(error, "code") or f"http_{status}"
    message = _text(error, "message") or f"the answer was {status} without an error in it"
    return ApiError(
        code,
        message,
        param=_text(error, "param"),
        request_id=_text(error, "request_id"),
        kind=Kind(_type_of(error, status), status),
    )


def _error_object(body: bytes) -> dict[str, Any]:
    try:
        payload = json.loads(body)
    except (ValueError, RecursionError, MemoryError):
        return {}
    error = payload.get("error") if isinstance(payload, dict) else None
    return error if isinstance(error, dict) else {}


def _text(error: dict[str, Any], field: str) -> str | None:
    value = error.get(field)
    return value if isinstance(value, str) and value else None


def _type_of(error: dict[str, Any], status: int) -> ErrorType:
    named = _text(error, "type")
    if named in list(ErrorType):
        return ErrorType(named)
    return _TYPE_BY_STATUS.get(status, ErrorType.API if status >= 500 else ErrorType.INVALID_REQUEST)
