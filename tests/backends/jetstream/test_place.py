"""The URL of a JetStream inbox, and where and how an event is written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kirimhook.backends.jetstream.codec import Adopted, decode, encode
from kirimhook.backends.jetstream.names import Names, hash26, partition_of
from kirimhook.backends.jetstream.settings import JetStreamSettings
from kirimhook.receiver.model import EventState, InboundEvent
from tests.backends.jetstream.rig import event

TEXT = st.text(st.characters(exclude_categories=()), max_size=40)
EVENTS = st.builds(
    InboundEvent,
    dedupe_key=st.binary(max_size=40),
    event_id=TEXT,
    type=TEXT,
    source=TEXT,
    ordering_key=st.none() | TEXT,
    livemode=st.booleans(),
    problem=st.none() | TEXT,
    delivery_id=TEXT,
    received_at=st.integers(0, 2**53),
    body=st.binary(max_size=200),
)
ADOPTED = st.none() | st.builds(
    Adopted,
    state=st.sampled_from(EventState),
    attempts=st.integers(0, 1000),
    due=st.none() | st.integers(0, 2**53),
    reason=st.none() | TEXT,
    finished_at=st.none() | st.integers(0, 2**53),
    has_payload=st.booleans(),
)


@given(EVENTS, ADOPTED, st.integers(0, 2**53))
def test_an_event_is_read_as_it_was_written(one: InboundEvent, adopted: Adopted | None, at: int) -> None:
    """Whatever its fields hold: any text, any bytes."""
    stored = decode(encode(one, at, "claim", adopted))
    assert (stored.event, stored.at, stored.claim, stored.adopted) == (one, at, "claim", adopted)


@pytest.mark.parametrize("payload", [b"", b"\n", b"[]\n", b"{}\n", b"[2,1]\n", b'[1,0,"c","zz"]\n{}', b"\xff\n"])
def test_anything_else_is_not_an_event(payload: bytes) -> None:
    """And says so with one kind of error."""
    with pytest.raises(ValueError, match="not an event of this inbox"):
        decode(payload)


def test_an_event_of_a_newer_version_is_not_guessed_at() -> None:
    newer = b"[3" + encode(event("a"), 0, "c")[2:]
    with pytest.raises(ValueError, match="version 3"):
        decode(newer)


@given(EVENTS, st.integers(1, 256))
def test_a_subject_is_valid_whatever_the_key(one: InboundEvent, partitions: int) -> None:
    """No dot, blank or wildcard gets into it, and the partition is one of those that there are."""
    partition = partition_of(one, partitions)
    subject = Names("box").event(partition, one.dedupe_key)
    assert 0 <= partition < partitions
    assert subject == f"box.ev.{partition}.{hash26(one.dedupe_key)}"
    assert len(hash26(one.dedupe_key)) == 26
    assert hash26(one.dedupe_key).isalnum()
    assert Names.partition_in(subject) == partition


def test_events_of_one_key_share_a_partition_and_others_are_spread() -> None:
    keyed = {partition_of(event(f"e{number}", "628123"), 8) for number in range(50)}
    free = {partition_of(event(f"e{number}"), 8) for number in range(200)}
    assert len(keyed) == 1
    assert free == set(range(8))


def test_a_url_names_servers_inbox_and_options() -> None:
    settings = JetStreamSettings.from_url(
        "tls://u:p@a:1,b:2,[::1]:3/box?replicas=3&timeout=1.5&monitor=http://m:8222", partitions=4
    )
    assert settings.servers == ("tls://u:p@a:1", "tls://u:p@b:2", "tls://u:p@[::1]:3")
    assert (settings.name, settings.replicas, settings.partitions) == ("box", 3, 4)
    assert (settings.timeout, settings.monitor) == (1.5, "http://m:8222")
    assert "u:p" not in repr(settings)


def test_a_url_may_leave_the_name_out() -> None:
    assert JetStreamSettings.from_url("nats://a").name == "kirimhook"


@pytest.mark.parametrize(
    ("url", "field"),
    [
        ("nats://", "inbox URL"),
        ("nats:a", "inbox URL"),
        ("nats://a,,b/x", "inbox URL"),
        ("http://a/x", "inbox URL"),
        ("nats://a/x.y", "name"),
        ("nats://a/x/y", "name"),
        ("nats://a/" + "x" * 33, "name"),
        ("nats://a/x?replicas=6", "replicas"),
        ("nats://a/x?partitions=257", "partitions"),
        ("nats://a/x?partitions=0", "partitions"),
        ("nats://a/x?monitor=file:///etc/passwd", "monitor"),
        ("nats://a/x?color=red", "color"),
        ("nats://a/x?timeout=soon", "timeout"),
    ],
)
def test_a_url_that_says_nothing_is_refused_by_name(url: str, field: str) -> None:
    with pytest.raises(ValueError, match=field):
        JetStreamSettings.from_url(url)


def test_an_error_about_a_url_shows_no_password() -> None:
    with pytest.raises(ValueError, match="inbox URL") as refused:
        JetStreamSettings.from_url("nats://u:hunter2@a,,b/x")
    assert "hunter2" not in str(refused.value)
