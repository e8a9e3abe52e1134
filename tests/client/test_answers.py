"""Any answer is read as what it should be, or is one UnexpectedAnswer or one Refused: nothing else gets out.

Fields that nobody knows are ignored; fields that only our API has may be missing.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kirimhook.client import answers
from kirimhook.client.answers import Answer, Page
from kirimhook.client.errors import CATEGORIES, MAX_MESSAGE, Refused, UnexpectedAnswer, refusal
from kirimhook.client.listing import following
from kirimhook.client.subscriptions import every
from kirimhook.contract.errors import ErrorType
from kirimhook.contract.resources import BulkReplay, Delivery, EventReceipt, NewSecret, ReplayReceipt, Subscription

AT = "2026-05-23T10:00:00Z"
LEAST: dict[type[Any], dict[str, Any]] = {
    Subscription: {"id": "wbs_1", "url": "https://a", "status": "active", "events": [], "secrets": []},
    Delivery: {
        "id": "wbd_1",
        "subscription_id": "wbs_1",
        "event_id": "evt_1",
        "event_type": "a.b",
        "status": "dead",
        "created_at": AT,
    },
    NewSecret: {"id": "sec_1", "created_at": AT, "secret": "whsec_a"},
    ReplayReceipt: {"id": "wbd_2", "replayed_from": "wbd_1", "status": "pending"},
    BulkReplay: {"enqueued": 1, "capped": False},
    EventReceipt: {"id": "evt_1", "deliveries": 1, "duplicate": False},
}
"""The fields without which a resource is none."""
READERS: list[Callable[[Answer], Any]] = [
    *(answers.one(kind) for kind in LEAST),
    answers.page(Delivery),
    answers.page(Subscription),
    answers.document,
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([AT, "active", "dead"]),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["data", "id", "has_more", "next_cursor"]), inner),
    max_leaves=10,
)


def ok(body: object) -> Answer:
    return Answer(200, {"x-request-id": "req_1"}, json.dumps(body).encode())


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()), st.sampled_from(READERS))
def test_any_bytes_are_a_result_or_unexpected(body: bytes, read: Callable[[Answer], Any]) -> None:
    try:
        result = read(Answer(200, {}, body))
    except UnexpectedAnswer:
        return
    assert result is not None


@given(st.integers(400, 599), st.binary() | JSON.map(lambda value: json.dumps({"error": value}).encode()))
def test_any_bytes_are_a_refusal_of_their_status(status: int, body: bytes) -> None:
    error = refusal(status, body, "req_1", None)
    assert error.status == status
    assert error.request_id
    assert type(error) in CATEGORIES.values()


@pytest.mark.parametrize("kind", LEAST, ids=lambda kind: kind.__name__)
def test_what_another_api_may_leave_out_is_none(kind: type[Any]) -> None:
    read = answers.one(kind)(ok({"data": {**LEAST[kind], "...": "...", "later": [1]}}))
    said = read.to_json()
    assert {name: said[name] for name in LEAST[kind]} == LEAST[kind]
    others = {name: value for name, value in said.items() if name not in {*LEAST[kind], "object"}}
    assert set(others.values()) <= {None}


@pytest.mark.parametrize("kind", LEAST, ids=lambda kind: kind.__name__)
def test_what_makes_it_what_it_is_must_be_there(kind: type[Any]) -> None:
    for name in LEAST[kind]:
        less = {field: value for field, value in LEAST[kind].items() if field != name}
        with pytest.raises(UnexpectedAnswer, match=rf"data\.{name} should be") as caught:
            answers.one(kind)(ok({"data": less}))
        assert caught.value.request_id == "req_1"


def test_an_error_quotes_no_value() -> None:
    with pytest.raises(UnexpectedAnswer) as caught:
        answers.one(NewSecret)(ok({"data": {**LEAST[NewSecret], "created_at": "whsec_hidden"}}))
    assert "whsec" not in str(caught.value)


PAGES = [
    ({"has_more": False, "next_cursor": None}, None),
    ({"next_cursor": None}, None),
    ({}, None),
    ({"has_more": True, "next_cursor": "c"}, "c"),
    ({"next_cursor": "c"}, "c"),
    ({"has_more": False, "next_cursor": "c"}, None),
]


@pytest.mark.parametrize(("said", "cursor"), PAGES)
def test_where_a_list_goes_on(said: dict[str, Any], cursor: str | None) -> None:
    assert answers.page(Delivery)(ok({"data": [], **said})) == Page((), cursor)


@pytest.mark.parametrize("said", [{"has_more": True}, {"has_more": True, "next_cursor": ""}, {"next_cursor": 7}])
def test_more_without_a_way_to_it_is_unexpected(said: dict[str, Any]) -> None:
    with pytest.raises(UnexpectedAnswer, match="without a cursor"):
        answers.page(Delivery)(ok({"data": [], **said}))


def test_a_list_that_leads_back_is_unexpected() -> None:
    call = every()
    again = following(call, Page((), "c"))
    assert again is not None
    assert again.query == {"limit": "100", "cursor": "c"}
    assert following(again, Page((), None)) is None
    with pytest.raises(UnexpectedAnswer, match="does not go on"):
        following(again, Page((), "c"))


@pytest.mark.parametrize("kind", list(ErrorType))
def test_each_category_is_a_class(kind: ErrorType) -> None:
    body = json.dumps({"error": {"type": kind.value, "code": "later", "message": "m" * 5000}}).encode()
    error = refusal(418, body, None, 3.0)
    assert isinstance(error, Refused)
    assert type(error) is CATEGORIES[kind]
    assert (error.code, len(error.message), error.retry_after) == ("later", MAX_MESSAGE, 3.0)
