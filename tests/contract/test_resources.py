"""A resource goes out as the contract's JSON and comes back equal; what is none of it is named, never let in."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kirimhook.contract import resources
from kirimhook.contract.codec import Resource
from kirimhook.contract.resources import MalformedError, Subscription
from kirimhook.contract.signature import Secret

AT = "2026-05-23T10:00:00Z"

SECRET_INFO = {"id": "sec_1", "created_at": AT, "expires_at": None}
SUBSCRIPTION = {
    "object": "webhook_subscription",
    "id": "wbs_1",
    "url": "https://your-server.example.com/kirim-webhook",
    "description": None,
    "status": "active",
    "disabled_reason": None,
    "events": ["message.received", "message.status"],
    "secrets": [SECRET_INFO, {**SECRET_INFO, "id": "sec_2", "expires_at": "2026-05-24T10:00:00.250000Z"}],
    "created_at": AT,
}
ATTEMPT = {
    "number": 1,
    "started_at": AT,
    "duration_ms": 12.5,
    "timing": {"dns": 1, "connect": 2.5, "tls": 3.0, "first_byte": None},
    "address": "203.0.113.7:443",
    "request_headers": {"X-Kirim-Event": "contact.created"},
    "response_status": 503,
    "response_headers": {},
    "response_body": "busy",
    "error": None,
    "next_attempt_at": AT,
    "why_next": "503, Retry-After 30 s",
}
DELIVERY = {
    "object": "webhook_delivery",
    "id": "wbd_1",
    "subscription_id": "wbs_1",
    "event_id": "evt_1",
    "event_type": "contact.created",
    "source": "kirim",
    "kind": "original",
    "status": "failed",
    "dead_reason": None,
    "attempt_count": 1,
    "max_attempts": 8,
    "next_attempt_at": AT,
    "last_attempt_at": AT,
    "response_status": 503,
    "last_error": "503",
    "created_at": AT,
    "finished_at": None,
    "replayed_from": None,
    "replayed_by": None,
}
EXAMPLES: list[tuple[type[Resource], dict[str, Any]]] = [
    (resources.SecretInfo, SECRET_INFO),
    (resources.NewSecret, {"object": "webhook_secret", **SECRET_INFO, "secret": "whsec_abc"}),
    (Subscription, SUBSCRIPTION),
    (Subscription, {**SUBSCRIPTION, "initial_secret": "whsec_abc"}),
    (resources.Attempt, ATTEMPT),
    (resources.Delivery, DELIVERY),
    (resources.Delivery, {**DELIVERY, "attempts": [ATTEMPT]}),
    (resources.Delivery, {**DELIVERY, "attempts": []}),
    (
        resources.ReplayReceipt,
        {"object": "webhook_delivery", "id": "wbd_2", "replayed_from": "wbd_1", "status": "pending"},
    ),
    (resources.BulkReplay, {"enqueued": 1000, "capped": True, "last_created_at": AT}),
    (resources.EventReceipt, {"object": "event", "id": "evt_1", "deliveries": 3, "duplicate": False}),
]


@pytest.mark.parametrize(("kind", "example"), EXAMPLES)
def test_there_and_back(kind: type[Resource], example: dict[str, Any]) -> None:
    read = kind.from_json(json.loads(json.dumps(example)))
    assert read.to_json() == example
    assert kind.from_json(read.to_json()) == read


@pytest.mark.parametrize(("kind", "example"), EXAMPLES)
def test_fields_of_a_later_version_are_ignored_and_nulls_may_be_absent(
    kind: type[Resource], example: dict[str, Any]
) -> None:
    said = {name: value for name, value in example.items() if value is not None and name != "object"}
    assert kind.from_json({**said, "invented_later": [1]}) == kind.from_json(example)


WRONG = [None, True, 1, 1.5, "", "no", [], [1], {}, {"a": 1}]


@pytest.mark.parametrize(("kind", "example"), EXAMPLES)
@given(data=st.data())
def test_a_wrong_value_is_malformed_or_read_and_written_again(
    kind: type[Resource], example: dict[str, Any], data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(sorted(example)))
    wrong = {**example, name: data.draw(st.sampled_from(WRONG))}
    try:
        read = kind.from_json(wrong)
    except MalformedError as error:
        named = error.path.partition(".")[0]
    else:
        named = ""
        assert kind.from_json(read.to_json()) == read
    assert named in {"", name}


@pytest.mark.parametrize(
    ("name", "value", "path"),
    [
        ("id", None, "id"),
        ("id", 1, "id"),
        ("url", ["x"], "url"),
        ("status", "paused", "status"),
        ("status", None, "status"),
        ("status", [], "status"),
        ("events", "message.received", "events"),
        ("events", ["a", 1], "events.1"),
        ("secrets", [SECRET_INFO, 5], "secrets.1"),
        ("secrets", [{**SECRET_INFO, "created_at": "yesterday"}], "secrets.0.created_at"),
        ("created_at", "2026-05-23T10:00:00", "created_at"),
        ("created_at", "0001-01-01T00:00:00+14:00", "created_at"),
        ("created_at", 1779530400, "created_at"),
        ("initial_secret", "", "initial_secret"),
        ("initial_secret", 7, "initial_secret"),
    ],
)
def test_the_error_names_the_field(name: str, value: object, path: str) -> None:
    with pytest.raises(MalformedError) as caught:
        Subscription.from_json({**SUBSCRIPTION, name: value})
    assert caught.value.path == path
    assert str(caught.value).startswith(f"{path} should be ")


@pytest.mark.parametrize("value", [True, "1", 1.5])
def test_a_whole_number_is_neither_true_nor_text_nor_fraction(value: object) -> None:
    with pytest.raises(MalformedError):
        resources.EventReceipt.from_json({"id": "evt_1", "deliveries": value, "duplicate": False})


@pytest.mark.parametrize("headers", [[], {"a": 1}, "x"])
def test_headers_are_texts(headers: object) -> None:
    with pytest.raises(MalformedError) as caught:
        resources.Delivery.from_json({**DELIVERY, "attempts": [{**ATTEMPT, "request_headers": headers}]})
    assert caught.value.path == "attempts.0.request_headers"


@pytest.mark.parametrize("data", [None, [], "x", 1])
def test_what_is_no_object_at_all(data: object) -> None:
    with pytest.raises(MalformedError, match="the whole should be a JSON object"):
        Subscription.from_json(data)


@given(st.datetimes(timezones=st.just(UTC)), st.integers(-14, 14))
def test_a_moment_travels_in_utc_whatever_its_offset(moment: datetime, hours: int) -> None:
    try:
        elsewhere = moment.astimezone(timezone(timedelta(hours=hours)))
    except OverflowError:
        return
    written = resources.BulkReplay(0, False, elsewhere).to_json()["last_created_at"]
    assert written.endswith("Z")
    assert resources.BulkReplay.from_json({"enqueued": 0, "capped": False, "last_created_at": written}) == (
        resources.BulkReplay(0, False, moment)
    )


def test_a_plaintext_shows_in_json_only() -> None:
    subscription = Subscription.from_json({**SUBSCRIPTION, "initial_secret": "whsec_topsecret"})
    assert "topsecret" not in repr(subscription)
    assert subscription.initial_secret == Secret("whsec_topsecret")
    assert subscription.to_json()["initial_secret"] == "whsec_topsecret"


def test_envelopes() -> None:
    replay = resources.BulkReplay(0, False, None)
    body = {"enqueued": 0, "capped": False, "last_created_at": None}
    assert resources.envelope(replay, "req_1") == {"data": body, "request_id": "req_1"}
    assert resources.list_envelope([replay, replay], "c2", "req_1") == {
        "data": [body, body],
        "has_more": True,
        "next_cursor": "c2",
        "request_id": "req_1",
    }
    assert resources.list_envelope([], None, "req_1")["has_more"] is False


@pytest.mark.parametrize(("kind", "example"), [(Subscription, SUBSCRIPTION), (resources.Delivery, DELIVERY)])
def test_what_is_ours_alone_may_be_missing_and_nothing_else(kind: type[Resource], example: dict[str, Any]) -> None:
    """What another API does not say is None; what ours says is never null."""
    read = kind.from_json({name: value for name, value in example.items() if name not in kind.OURS})
    assert read.to_json() == {**example, **dict.fromkeys(kind.OURS)}
    assert all(example[name] is not None for name in kind.OURS)
