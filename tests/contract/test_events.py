"""Whatever a body is, it can be read; and what it says decides its identity and its ordering key.

Independent oracle: the vectors, whose digests openssl computed.
"""

from __future__ import annotations

import json
import math
import sys
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kirimhook.contract import events
from kirimhook.contract.events import Problem, Reading, UnreadableError
from kirimhook.contract.headers import DeliveryHeaders
from tests.contract.table import cases, content, file


def delivered(*, event_id: str, event_type: str, source: str) -> DeliveryHeaders:
    return DeliveryHeaders(event_id, event_type, source, "", 1, None, b"", None)


@pytest.mark.parametrize("case", cases("readings"))
def test_reading_vector(case: dict[str, Any]) -> None:
    reading = events.read(content(case["body"]))
    assert json.loads(json.dumps(reading._asdict())) == case["expect"]


def test_every_problem_has_a_vector() -> None:
    told = {case["expect"]["problem"] for case in file("readings")["cases"]} - {None}
    assert told == set(Problem) - {Problem.NO_MEMORY}


@pytest.mark.parametrize("case", cases("identities"))
def test_identity_vector(case: dict[str, Any]) -> None:
    body, expect = content(case["body"]), case["expect"]
    headers, reading = delivered(**case["headers"]), events.read(body)
    event_id: str | None = headers.event_id
    if case["identity"] == events.Identity.SIGNED:
        event_id = events.signed_identity(headers, reading)
    if "refused" in expect:
        assert event_id is None
        return
    assert event_id == expect["event_id"]
    key = events.dedupe_key(headers.source or reading.source, expect["event_id"], headers.event_type, body)
    assert key.hex() == expect["dedupe_key"]


LETTERS = st.characters()  # lone surrogates included
TEXTS = st.text(LETTERS, max_size=5)
ENVELOPE = ["id", "type", "data", "conversation", "contact", "livemode"]
META = ["entry", "changes", "value", "messages", "statuses", "metadata", "phone_number_id", "from", "recipient_id"]
NAMES = st.sampled_from([*ENVELOPE, *META])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | TEXTS, inner, max_size=6),
    max_leaves=40,
)


def meta_shaped(leaf: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """The shape of a meta body with anything at any level of it."""

    def some(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        return st.one_of(leaf, st.lists(st.one_of(inner, leaf), max_size=3))

    item = st.fixed_dictionaries({}, optional={"id": leaf, "from": leaf, "recipient_id": leaf})
    metadata = st.one_of(leaf, st.fixed_dictionaries({}, optional={"phone_number_id": leaf}))
    value = st.fixed_dictionaries({}, optional={"metadata": metadata, "messages": some(item), "statuses": some(item)})
    change = st.fixed_dictionaries({"value": st.one_of(value, leaf)})
    entry = st.fixed_dictionaries({"changes": some(change)})
    return st.fixed_dictionaries({"entry": some(entry)})


def assert_well_formed(reading: Reading) -> None:
    """What is promised of a reading, whatever was read."""
    assert reading.source in {"meta", "kirim", ""}
    for text in (*reading.ids, *reading.types, *filter(None, [reading.ordering_key])):
        assert text
        assert all(" " <= letter <= "~" for letter in text)
    assert len(reading.ordering_key or "") <= 256
    assert max(map(len, reading.ids), default=0) <= 512
    if reading.problem:
        assert reading == Reading("", (), (), None, True, reading.problem)


@given(st.one_of(JSON, meta_shaped(st.one_of(st.none(), st.integers(), TEXTS, st.just({}), st.just([])))), st.binary())
def test_any_shape_is_read(payload: Any, raw: bytes) -> None:
    for body in (json.dumps(payload).encode(), json.dumps(payload)[:-1].encode(), raw):
        reading = events.read(body)
        assert_well_formed(reading)
        for event_type in ("message.status", "contact.created"):
            key = events.dedupe_key(reading.source, "id", event_type, body)
            assert len(key) == (32 if event_type == "message.status" else 16)
    assert all(isinstance(item, dict) for item in [*events.messages(payload), *events.statuses(payload)])


def is_finite(payload: Any) -> bool:
    try:
        json.dumps(payload, allow_nan=False)
    except ValueError:
        return False
    return True


@given(JSON)
def test_parse_agrees_with_json_or_says_why_not(payload: Any) -> None:
    body = json.dumps(payload).encode()
    if isinstance(payload, dict) and is_finite(payload):
        assert events.parse(body) == json.loads(body)
        return
    with pytest.raises(UnreadableError) as caught:
        events.parse(body)
    assert caught.value.problem in {Problem.NOT_JSON, Problem.NOT_AN_OBJECT}


@pytest.mark.parametrize("depth", [10, 500, 900, 1100, 5_000, 200_000])
@pytest.mark.parametrize("unit", ["[", '{"a":', '[{"a":'])
def test_any_depth_is_survived(depth: int, unit: str) -> None:
    assert events.read((unit * depth).encode()).problem in {Problem.NOT_JSON, Problem.TOO_DEEP}


def test_depth_is_survived_with_little_stack_left() -> None:
    """A reading close to the recursion limit is a problem of the body, not an exception."""

    def at(depth: int) -> Reading:
        return at(depth - 1) if depth else events.read(b'{"a":' * 100 + b"1" + b"}" * 100)

    limit = sys.getrecursionlimit()
    try:
        sys.setrecursionlimit(400)
        problems = {at(depth).problem for depth in range(100, 260, 10)}
    finally:
        sys.setrecursionlimit(limit)
    assert problems <= {None, Problem.TOO_DEEP}


def test_no_memory_is_a_problem_and_not_an_exception(monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(text: str) -> object:
        raise MemoryError

    monkeypatch.setattr(events, "_decode", exhausted)
    assert events.read(b"{}").problem == Problem.NO_MEMORY


@given(TEXTS, TEXTS, st.binary(max_size=20))
def test_a_dedupe_key_can_be_made_of_any_text(source: str, event_id: str, body: bytes) -> None:
    key = events.dedupe_key(source, event_id, "message.status", body)
    assert key[:16] == events.dedupe_key(source, event_id, "message.received", body)
    assert key != events.dedupe_key(source, event_id, "message.status", body + b"x")


@given(st.text(LETTERS, max_size=300))
def test_customers_that_differ_have_keys_that_differ(customer: str) -> None:
    def key(customer: str) -> str | None:
        value = {"metadata": {"phone_number_id": "1"}, "messages": [{"from": customer}]}
        body = json.dumps({"entry": [{"changes": [{"value": value}]}]}).encode()
        return events.read(body).ordering_key

    assert (key(customer) is None) == (not customer)
    assert key(customer) != key(customer + "x")


@given(st.text("abc.", max_size=70) | st.from_regex(events._TYPE, fullmatch=True) | st.text(max_size=5))
def test_a_type_is_dotted_lower_case(name: str) -> None:
    parts = name.split(".")
    allowed = set("abcdefghijklmnopqrstuvwxyz0123456789_")
    wanted = len(name) <= 64 and len(parts) > 1 and all(part and set(part) <= allowed for part in parts)
    assert events.is_type(name) is wanted


@given(JSON.filter(is_finite), st.booleans())
def test_an_envelope_is_read_as_it_was_written(data: Any, livemode: bool) -> None:
    elsewhere = timezone(timedelta(hours=7))
    created_at = datetime(2026, 5, 23, 17, 0, 0, 999999, tzinfo=elsewhere)
    try:
        body = events.envelope("evt_1", "order.created", created_at, {"order": data}, livemode=livemode)
    except UnicodeEncodeError:
        assert any("\ud800" <= letter <= "\udfff" for letter in json.dumps(data, ensure_ascii=False))
        return
    assert events.read(body) == Reading("kirim", ("evt_1",), ("order.created",), None, livemode, None)
    assert events.parse(body) == {
        "id": "evt_1",
        "type": "order.created",
        "created_at": "2026-05-23T10:00:00Z",
        "livemode": livemode,
        "data": {"order": data},
    }


@pytest.mark.parametrize(
    ("name", "data", "error"),
    [
        ("Order.Created", {}, ValueError),
        ("order", {}, ValueError),
        ("order.created", {"n": math.nan}, ValueError),
        ("order.created", {"n": {1}}, TypeError),
    ],
)
def test_what_makes_no_envelope(name: str, data: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        events.envelope("evt_1", name, datetime(2026, 5, 23, tzinfo=UTC), data)


def test_the_documented_types_are_types() -> None:
    assert len(set(events.DOCUMENTED_TYPES)) == 6
    assert all(events.is_type(name) for name in events.DOCUMENTED_TYPES)
