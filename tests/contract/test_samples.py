"""Every documented payload is there, says what its headers say, and can be had again as another event."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kirimhook.contract import events, samples

KINDS = ["text", "image", "document", "video", "audio", "sticker", "location", "contacts", "reaction", "button"]
REPLIES = ["button_reply", "list_reply"]
STATES = ["sent", "delivered", "read", "failed"]
ALL = samples.names()


def body_of(name: str) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(samples.load(name).body)
    return body


def message_of(name: str) -> dict[str, Any]:
    return next(events.messages(body_of(name)))


def test_every_documented_event_kind_and_status_has_a_sample() -> None:
    assert {samples.load(name).type for name in ALL} == set(events.DOCUMENTED_TYPES)
    assert [message_of(f"message.received.{kind}")["type"] for kind in KINDS] == KINDS
    assert [message_of(f"message.received.{kind}")["interactive"]["type"] for kind in REPLIES] == REPLIES
    assert [next(events.statuses(body_of(f"message.status.{state}")))["status"] for state in STATES] == STATES


@pytest.mark.parametrize("name", KINDS)
def test_a_message_holds_the_content_its_type_names(name: str) -> None:
    assert message_of(f"message.received.{name}")[name]


@pytest.mark.parametrize("name", ALL)
def test_headers_and_body_agree(name: str) -> None:
    sample = samples.load(name)
    reading = events.read(sample.body)
    assert (sample.name, sample.source, sample.event_id) == (name, reading.source, reading.ids[0])
    assert sample.type in reading.types
    assert reading.ordering_key
    assert reading.livemode
    assert reading.problem is None


@pytest.mark.parametrize("name", ALL)
def test_the_bytes_are_the_stored_json_and_stable(name: str) -> None:
    sample = samples.load(name)
    assert sample.renewed() == sample
    assert sample.body.decode().count("\n") == 0


def test_the_four_statuses_share_one_id_and_are_four_events() -> None:
    four = [samples.load(f"message.status.{state}") for state in STATES]
    assert len({sample.event_id for sample in four}) == 1
    assert len({events.dedupe_key(s.source, s.event_id, s.type, s.body) for s in four}) == 4


def test_only_the_failed_status_holds_errors() -> None:
    held = ["errors" in next(events.statuses(body_of(f"message.status.{state}"))) for state in STATES]
    assert held == [False, False, False, True]


def test_one_body_holds_several_of_everything() -> None:
    body = body_of("message.received.several")
    assert len(body["entry"]) > 1
    assert max(len(entry["changes"]) for entry in body["entry"]) > 1
    found = [*events.messages(body), *events.statuses(body)]
    assert len({item["id"] for item in found}) == len(found) == 6
    assert len(list(events.statuses(body))) == 2


@pytest.mark.parametrize(("type_", "name"), [("message.received", "text"), ("message.status", "delivered")])
def test_a_bare_type_means_its_usual_sample(type_: str, name: str) -> None:
    assert samples.load(type_) == samples.load(f"{type_}.{name}")


@pytest.mark.parametrize("name", ["", "nonsense", "../events", "message.received.json", "contact.created.json"])
def test_an_unknown_name_is_told_what_there_is(name: str) -> None:
    with pytest.raises(LookupError, match=r"message\.received\.text"):
        samples.load(name)


IDS = st.text("abcXYZ019_-", min_size=1, max_size=30)
PHONES = st.text("0123456789", min_size=5, max_size=15)


@given(st.sampled_from(ALL), IDS, PHONES, st.integers(0, 4_000_000_000))
def test_a_renewed_sample_agrees_with_itself(name: str, event_id: str, customer: str, timestamp: int) -> None:
    sample = samples.load(name)
    fresh = sample.renewed(event_id=event_id, customer=customer, timestamp=timestamp)
    was, now = events.read(sample.body), events.read(fresh.body)
    assert (fresh.name, fresh.type, fresh.source) == (sample.name, sample.type, sample.source)
    assert fresh.event_id == now.ids[0] == event_id
    assert len(set(now.ids)) == len(set(was.ids))
    assert now._replace(ids=(), ordering_key=None) == was._replace(ids=(), ordering_key=None)
    assert now.ordering_key != was.ordering_key
    assert fresh.renewed(event_id=event_id, customer=customer, timestamp=timestamp) == fresh


@given(st.sampled_from(ALL), PHONES, PHONES)
def test_the_ordering_key_follows_the_customer(name: str, one: str, other: str) -> None:
    sample = samples.load(name)
    keys = [
        events.read(sample.renewed(event_id=f"x{n}", customer=who).body).ordering_key
        for n, who in enumerate((one, one, other))
    ]
    assert keys[0] == keys[1]
    assert (keys[0] == keys[2]) == (one == other)


@pytest.mark.parametrize("name", ["contact.created", "conversation.closed"])
def test_a_test_delivery_is_made_not_stored(name: str) -> None:
    trial = samples.load(name).renewed(livemode=False)
    assert events.read(trial.body).livemode is False
    assert trial.renewed(livemode=True) == samples.load(name)


def test_a_meta_body_has_no_livemode() -> None:
    with pytest.raises(ValueError, match=r"message\.received\.text"):
        samples.load("message.received").renewed(livemode=False)


def test_the_timestamp_is_the_moment_of_what_happened() -> None:
    message = samples.load("message.received").renewed(timestamp=86400)
    assert next(events.messages(json.loads(message.body)))["timestamp"] == "86400"
    contact = samples.load("contact.created").renewed(timestamp=86400)
    assert json.loads(contact.body)["created_at"] == "1970-01-02T00:00:00Z"
