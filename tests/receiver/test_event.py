"""The event says what was received, byte for byte, and reads its body only when asked, and once."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from kirimhook.contract import samples
from kirimhook.contract.events import UnreadableError
from kirimhook.receiver.event import Event
from kirimhook.receiver.model import InboundEvent, LeasedEvent
from tests.receiver.working import inbound

META = {
    "object": "whatsapp_business_account",
    "entry": [
        {"changes": [{"value": {"messages": [{"id": "m1"}, {"id": "m2"}]}}, {"value": {"statuses": [{"id": "s1"}]}}]},
        {"changes": [{"value": {"messages": [{"id": "m3"}], "statuses": [{"id": "s2"}]}}]},
    ],
    "data": {"not": "an envelope's"},
}


def event(body: Any = None, **changes: Any) -> Event:
    raw = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
    return Event(LeasedEvent(41, 3, inbound(key="contact:1", body=raw)._replace(**changes)))


def test_it_says_what_was_stored() -> None:
    inbound_event = InboundEvent(
        b"k", "evt_1", "contact.created", "kirim", "contact:1", False, None, "wbd_1", 1_700_000_000_123, b'{"a": 1}'
    )
    seen = Event(LeasedEvent(41, 3, inbound_event))
    assert (seen.id, seen.type, seen.source, seen.livemode) == ("evt_1", "contact.created", "kirim", False)
    assert (seen.number, seen.attempt, seen.ordering_key, seen.body) == (41, 3, "contact:1", b'{"a": 1}')
    assert seen.received_at == datetime(2023, 11, 14, 22, 13, 20, 123000, tzinfo=UTC)
    assert seen.payload == {"a": 1}


def test_the_payload_is_parsed_once() -> None:
    seen = event({"data": {"a": 1}})
    assert seen.payload is seen.payload
    assert seen.data is seen.payload["data"]


def test_messages_and_statuses_are_all_that_the_body_holds() -> None:
    seen = event(META)
    assert [message["id"] for message in seen.messages] == ["m1", "m2", "m3"]
    assert [status["id"] for status in seen.statuses] == ["s1", "s2"]
    assert [message["id"] for message in seen.messages] == ["m1", "m2", "m3"]  # every time anew


@pytest.mark.parametrize(
    ("body", "data"),
    [
        ({"data": {"a": 1}}, {"a": 1}),
        ({"data": None}, None),
        ({"data": [1]}, None),
        ({}, None),
        (META, None),
    ],
)
def test_data_is_the_envelopes(body: Any, data: Any) -> None:
    assert event(body).data == data


@pytest.mark.parametrize("name", samples.names())
def test_every_documented_payload_can_be_read(name: str) -> None:
    sample = samples.load(name)
    seen = event(sample.body, type=sample.type, source=sample.source)
    assert seen.payload == json.loads(sample.body)
    assert (seen.data is not None) == (sample.source == "kirim")
    assert (list(seen.messages) != []) == (b'"messages":[' in sample.body.replace(b" ", b""))
    assert (list(seen.statuses) != []) == (b'"statuses":[' in sample.body.replace(b" ", b""))


def test_a_body_that_is_not_json_raises_only_when_it_is_read() -> None:
    seen = event(b"\xff")
    assert seen.body == b"\xff"
    with pytest.raises(UnreadableError):
        _ = seen.payload


def test_it_shows_itself_without_its_body() -> None:
    assert repr(event({"secret": 1}, event_id="evt_7")) == "<Event 41 contact.updated id='evt_7' attempt=3>"


def test_it_is_read_only() -> None:
    with pytest.raises(AttributeError):
        event().id = "other"  # type: ignore[misc]  # it is frozen: that is the test
