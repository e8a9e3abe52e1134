"""The identity of a dead letter is the receiver's own dedupe key, where the list tells enough for it; else open."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kirimhook.contract.events import DOCUMENTED_TYPES, MESSAGE_STATUS, dedupe_key
from kirimhook.contract.resources import DeliveryKind
from tests.operating.reconciling.letters import NOW, dead, delivery_id

names = st.text("abcdefghijklmnop._0123456789=", min_size=1, max_size=40)


@given(source=st.sampled_from(["meta", "kirim", "other"]), event_id=names, kind=st.sampled_from(DOCUMENTED_TYPES))
def test_the_key_is_the_first_half_of_a_hash_of_source_and_id(source: str, event_id: str, kind: str) -> None:
    found = dead(source=source, event_id=event_id, event_type=kind)
    by_hand = hashlib.sha256(f"{source}\n{event_id}".encode()).digest()[:16]
    assert found.subject == by_hand
    assert found.key == (None if kind == MESSAGE_STATUS else by_hand)


@given(body=st.binary(max_size=40), event_id=names)
def test_what_a_receiver_claims_an_event_by_begins_with_its_subject(body: bytes, event_id: str) -> None:
    for kind in DOCUMENTED_TYPES:
        found = dead(source="kirim", event_id=event_id, event_type=kind)
        assert dedupe_key("kirim", event_id, kind, body).startswith(found.subject)


@pytest.mark.parametrize(
    ("kind", "event_id", "source"),
    [
        ("message.received", "wamid.X", "meta"),
        ("message.sent", "anything", "meta"),
        ("conversation.closed", "x", "kirim"),
        ("contact.created", "x", "kirim"),
        ("order.created", "evt_1", "kirim"),
        ("order.created", "wamid.Y", "meta"),
    ],
)
def test_a_source_that_is_not_told_is_derived(kind: str, event_id: str, source: str) -> None:
    silent = dead(source=None, event_type=kind, event_id=event_id)
    assert silent == dead(source=source, event_type=kind, event_id=event_id)
    assert silent.key is not None


def test_a_source_that_nothing_tells_leaves_the_event_open() -> None:
    found = dead(source=None, event_type="order.created", event_id="42")
    assert found.key is None


def test_what_a_provider_of_the_public_documents_leaves_out_is_taken_as_usual() -> None:
    bare = dead(7, source=None, kind=None, dead_reason=None, replayed_from=None, replayed_by=None)
    assert bare == dead(7)._replace(tells_replays=False)
    assert (bare.id, bare.created_at) == (delivery_id(7), int(NOW.timestamp() * 1000))


def test_what_it_says_is_taken() -> None:
    said = dead(1, kind=DeliveryKind.REPLAY, replayed_from=delivery_id(0), replayed_by=delivery_id(2))
    assert (said.replayed_from, said.is_replayed, said.tells_replays) == (delivery_id(0), True, True)
    assert dead(kind=DeliveryKind.TEST).is_test
    assert dead(event_id="").is_erased
    assert dead(dead_reason="discarded").was_discarded
