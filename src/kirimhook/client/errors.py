"""What a call can end in instead of a result.

Arguments that cannot be sent, an answer that says no, no answer, an answer that makes no sense.
"""

from __future__ import annotations

from kirimhook.contract.errors import ApiError, ErrorType, Kind, parse

MAX_MESSAGE = 1000
"""Characters that are kept of the API's words."""


class ArgumentError(ValueError):
    """What was given to a call cannot be sent: nothing was."""


class Refused(ApiError):
    """The API said no. `retry_after`: the seconds it asked to wait, where it did."""

    def __init__(self, said: ApiError, retry_after: float | None = None) -> None:
        kind = Kind(said.type, said.status)
        super().__init__(said.code, said.message[:MAX_MESSAGE], param=said.param, request_id=said.request_id, kind=kind)
        self.retry_after = retry_after


class InvalidRequest(Refused):
    """What was asked makes no sense to the API: `param` says which part, where it is one."""


class Unauthenticated(Refused):
    """The key is missing, unknown, expired or revoked."""


class Forbidden(Refused):
    """The key may not do this."""


class NotFound(Refused):
    """There is nothing with this id that this key may see."""


class Conflict(Refused):
    """The state of what it is about does not allow it: `code` says why."""


class RateLimited(Refused):
    """Too many calls. Raised where waiting for `retry_after` seconds is more than the client was told to wait."""


class ServiceFailed(Refused):
    """The API's own fault; it may pass."""


class Unreachable(Exception):
    """No answer, or not a whole one: network, name, TLS, timeout. What was asked may have been done."""


class UnexpectedAnswer(Exception):
    """An answer that is not of this API: a redirect, a page of a proxy, a field that cannot be what it says."""

    def __init__(self, message: str, *, status: int, request_id: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.request_id = request_id


CATEGORIES: dict[ErrorType, type[Refused]] = {
    ErrorType.INVALID_REQUEST: InvalidRequest,
    ErrorType.AUTHENTICATION: Unauthenticated,
    ErrorType.PERMISSION: Forbidden,
    ErrorType.NOT_FOUND: NotFound,
    ErrorType.CONFLICT: Conflict,
    ErrorType.RATE_LIMIT: RateLimited,
    ErrorType.API: ServiceFailed,
}


def refusal(status: int, body: bytes, request_id: str | None, retry_after: float | None) -> Refused:
    """The error that an answer of 400 or more is. Never raises."""
    said = parse(status, body)
    said.request_id = said.request_id or request_id
    return CATEGORIES[said.type](said, retry_after)
