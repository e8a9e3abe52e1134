"""Each method sends what the contract says and nothing that was not asked for; arguments that cannot be sent are an
ArgumentError where they are given, before anything is sent.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kirimhook.client import UNSET, ArgumentError, calls, deliveries, events, subscriptions
from kirimhook.client.calls import Call

JAKARTA = timezone(timedelta(hours=7))
AT = datetime(2026, 5, 20, 7, 30, tzinfo=JAKARTA)
CREATE = subscriptions.create(url="https://a", events=("a.b",))

TABLE: list[tuple[Call[Any], str, str, Any]] = [
    (CREATE, "POST", "/webhook_subscriptions", {"url": "https://a", "events": ["a.b"]}),
    (
        subscriptions.create(url="https://a", events=["a.b"], description="d"),
        "POST",
        "/webhook_subscriptions",
        {"url": "https://a", "events": ["a.b"], "description": "d"},
    ),
    (subscriptions.every(), "GET", "/webhook_subscriptions?limit=100", None),
    (subscriptions.get("wbs_1"), "GET", "/webhook_subscriptions/wbs_1", None),
    (subscriptions.update("wbs_1", status="active"), "PATCH", "/webhook_subscriptions/wbs_1", {"status": "active"}),
    (
        subscriptions.update("wbs_1", description=None, url="https://b", events=["c.d"], held="discard"),
        "PATCH",
        "/webhook_subscriptions/wbs_1",
        {"description": None, "url": "https://b", "events": ["c.d"], "held": "discard"},
    ),
    (subscriptions.delete("wbs_1"), "DELETE", "/webhook_subscriptions/wbs_1", None),
    (subscriptions.send_test("wbs_1"), "POST", "/webhook_subscriptions/wbs_1/test", {}),
    (subscriptions.create_secret("wbs_1"), "POST", "/webhook_subscriptions/wbs_1/secrets", {}),
    (
        subscriptions.create_secret("wbs_1", expires_in_hours=1.5),
        "POST",
        "/webhook_subscriptions/wbs_1/secrets",
        {"expires_in_hours": 1.5},
    ),
    (subscriptions.delete_secret("wbs_1", "sec_1"), "DELETE", "/webhook_subscriptions/wbs_1/secrets/sec_1", None),
    (deliveries.every(limit=25), "GET", "/webhook_deliveries?limit=25", None),
    (
        deliveries.every(subscription_id="wbs_1", status="dead", unreplayed=True, created_after=AT, cursor="a+b"),
        "GET",
        (
            "/webhook_deliveries?subscription_id=wbs_1&status=dead&unreplayed=true"
            "&created_after=2026-05-20T00%3A30%3A00Z&limit=100&cursor=a%2Bb"
        ),
        None,
    ),
    (deliveries.get("wbd_1"), "GET", "/webhook_deliveries/wbd_1", None),
    (deliveries.replay("wbd_1"), "POST", "/webhook_deliveries/wbd_1/replay", None),
    (
        deliveries.bulk_replay(subscription_id="wbs_1", created_after=AT),
        "POST",
        "/webhook_deliveries/bulk_replay",
        {"subscription_id": "wbs_1", "status": "dead", "created_after": "2026-05-20T00:30:00Z"},
    ),
    (
        deliveries.bulk_replay(subscription_id="wbs_1", ids=("wbd_1",), unreplayed=False),
        "POST",
        "/webhook_deliveries/bulk_replay",
        {"subscription_id": "wbs_1", "status": "dead", "ids": ["wbd_1"], "unreplayed": False},
    ),
    (events.publish(type="a.b", data={"x": None}), "POST", "/events", {"type": "a.b", "data": {"x": None}}),
    (events.publish(type="a.b", data={}, id="evt_1"), "POST", "/events", {"type": "a.b", "data": {}, "id": "evt_1"}),
]


@pytest.mark.parametrize(("call", "method", "target", "body"), TABLE, ids=range(len(TABLE)))
def test_what_is_sent(call: Call[Any], method: str, target: str, body: Any) -> None:
    assert (call.method, call.target) == (method, target)
    assert (None if call.body is None else json.loads(call.body)) == body
    typed = {} if body is None else {"Content-Type": "application/json"}
    keyed = {"Idempotency-Key": call.headers["Idempotency-Key"]} if method == "POST" else {}
    assert call.headers == {**typed, **keyed}


def test_a_raw_body_is_sent_byte_for_byte() -> None:
    body = b'{ "object":"whatsapp_business_account"}\n'
    call = events.publish_raw(body, source="meta", type="message.received", event_id="wamid.1", idempotency_key="k")
    assert call.body == body
    assert call.headers == {
        "Content-Type": "application/json",
        "Idempotency-Key": "k",
        "X-Kirim-Source": "meta",
        "X-Kirim-Event": "message.received",
        "X-Kirim-Event-Id": "wamid.1",
    }


@given(st.text(min_size=1, max_size=20))
def test_an_id_is_one_segment_of_the_path_or_refused(identifier: str) -> None:
    """As another parser of URLs sees it."""
    try:
        call = subscriptions.get(identifier)
    except ArgumentError:
        assert not identifier.isprintable() or not identifier.strip(".")
        return
    parts = urlsplit("https://a" + call.target)
    assert (parts.query, parts.fragment) == ("", "")
    *_, last = parts.path.split("/")
    assert parts.path == f"/webhook_subscriptions/{last}"
    assert unquote(last) == identifier


@given(st.text(), st.text())
def test_filters_arrive_as_they_were_given(event_id: str, cursor: str) -> None:
    try:
        target = deliveries.every(event_id=event_id, cursor=cursor).target
    except ArgumentError:  # half a character is no text
        assert any("\ud800" <= char <= "\udfff" for char in event_id + cursor)
        return
    found = parse_qs(target.partition("?")[2], keep_blank_values=True, strict_parsing=True)
    assert found == {"event_id": [event_id], "limit": ["100"], "cursor": [cursor]}


def test_what_makes_no_sense_is_refused_before_it_is_sent() -> None:
    naive = AT.replace(tzinfo=None)
    nested: list[Any] = []
    nested.append(nested)
    for attempt in (
        lambda: subscriptions.get(""),
        lambda: subscriptions.get(".."),
        lambda: deliveries.replay("wbd_1\n"),
        lambda: deliveries.every(created_after=naive),
        lambda: deliveries.bulk_replay(subscription_id="wbs_1", created_before=naive),
        lambda: deliveries.replay("wbd_1", idempotency_key=""),
        lambda: deliveries.replay("wbd_1", idempotency_key="k" * 256),
        lambda: deliveries.replay("wbd_1", idempotency_key="k\r\nX: y"),
        lambda: events.publish(type="a.b", data={"x": float("nan")}),
        lambda: events.publish(type="a.b", data={"x": object()}),
        lambda: events.publish(type="a.b", data={"x": nested}),
        lambda: events.publish_raw(b"{}", source="meta", type="a.b", event_id="wamid\r\nX: y"),
        lambda: events.publish_raw(b"{}", source="meta", type="a.b", event_id="wamid\u00e9"),
        lambda: deliveries.every(event_id="\ud800"),
    ):
        with pytest.raises(ArgumentError):
            attempt()


def test_unset_is_left_out_and_none_is_said() -> None:
    assert subscriptions.update("wbs_1", description=UNSET).body == b"{}"
    assert subscriptions.update("wbs_1", description=None).body == b'{"description":null}'


def test_moments_travel_in_utc() -> None:
    call = calls.get("/x", str, at=AT.astimezone(UTC), also=AT)
    assert call.query == {"at": "2026-05-20T00:30:00Z", "also": "2026-05-20T00:30:00Z"}
