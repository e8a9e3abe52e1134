"""An error travels as its envelope and comes back as itself; any other answer is an error as well."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kirimhook.contract import errors
from kirimhook.contract.errors import ApiError, ErrorType, Fault

STATUSES = {
    "invalid_webhook_url": 400,
    "unknown_event_type": 400,
    "missing_required_field": 400,
    "invalid_field_value": 400,
    "invalid_json": 400,
    "invalid_limit": 400,
    "invalid_cursor": 400,
    "missing_api_key": 401,
    "invalid_api_key": 401,
    "expired_api_key": 401,
    "revoked_api_key": 401,
    "resource_not_found": 404,
    "method_not_allowed": 405,
    "last_active_secret": 409,
    "too_many_secrets": 409,
    "subscription_deleted": 409,
    "event_erased": 409,
    "idempotency_key_reuse": 422,
    "idempotency_in_progress": 409,
    "payload_too_large": 413,
    "unsupported_media_type": 415,
    "rate_limit_exceeded": 429,
    "internal_error": 500,
    "service_unavailable": 503,
}


def test_the_codes_are_the_contracts() -> None:
    assert {code: kind.status for code, kind in errors.CODES.items()} == STATUSES


@pytest.mark.parametrize("code", STATUSES)
@pytest.mark.parametrize("param", [None, "events[0]"])
def test_an_error_comes_back_as_itself(code: str, param: str | None) -> None:
    sent = ApiError(code, "Say why.", param=param)
    body = json.dumps(sent.envelope("req_1")).encode()
    came = errors.parse(sent.status, body)
    assert (came.code, came.message, came.param, came.request_id) == (code, "Say why.", param, "req_1")
    assert (came.type, came.status, came.fault) == (sent.type, sent.status, sent.fault)
    assert set(json.loads(body)["error"]) == {"type", "code", "message", "request_id"} | ({"param"} if param else set())


def test_whose_fault() -> None:
    faults = {code: ApiError(code, "").fault for code in STATUSES}
    assert {code for code, fault in faults.items() if fault is Fault.SERVICE} == {
        "internal_error",
        "service_unavailable",
    }


def test_a_code_that_is_not_ours_is_a_mistake_of_the_programmer() -> None:
    with pytest.raises(KeyError):
        ApiError("no_such_code", "")


def test_the_text_of_an_error_says_code_and_message() -> None:
    assert str(ApiError("invalid_limit", "limit is 1 to 100")) == "invalid_limit: limit is 1 to 100"


@pytest.mark.parametrize(
    ("status", "kind", "fault"),
    [
        (400, ErrorType.INVALID_REQUEST, Fault.CALLER),
        (401, ErrorType.AUTHENTICATION, Fault.CALLER),
        (403, ErrorType.PERMISSION, Fault.CALLER),
        (404, ErrorType.NOT_FOUND, Fault.CALLER),
        (409, ErrorType.CONFLICT, Fault.CALLER),
        (418, ErrorType.INVALID_REQUEST, Fault.CALLER),
        (429, ErrorType.RATE_LIMIT, Fault.CALLER),
        (502, ErrorType.API, Fault.SERVICE),
    ],
)
def test_a_proxys_page_is_an_error_by_its_status(status: int, kind: ErrorType, fault: Fault) -> None:
    error = errors.parse(status, b"<html>Bad Gateway</html>")
    assert (error.code, error.status, error.type, error.fault) == (f"http_{status}", status, kind, fault)


def test_a_code_of_a_later_version_is_kept() -> None:
    body = b'{"error":{"type":"quota_error","code":"quota_exceeded","message":"No more."}}'
    error = errors.parse(429, body)
    assert (error.code, error.message, error.type) == ("quota_exceeded", "No more.", ErrorType.RATE_LIMIT)


FIELDS = st.sampled_from(["error", "type", "code", "message", "param", "request_id"])
SHAPES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.sampled_from([*ErrorType]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner),
)


@given(st.integers(100, 999), SHAPES, st.binary())
def test_parse_never_raises(status: int, payload: Any, raw: bytes) -> None:
    for body in (json.dumps({"error": payload}).encode(), json.dumps(payload).encode(), raw, b"[" * 100_000):
        assert errors.parse(status, body).status == status
