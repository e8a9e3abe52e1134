"""What came back, read without parsing more than counts."""

from __future__ import annotations

import asyncio

import pytest

from kirimhook.backends.jetstream.answers import Batch, header_of, status_of
from kirimhook.backends.jetstream.link import OutcomeUnknown, Refused, WrongLast, outcome_of


def message(sequence: int, before: int, extra: str = "") -> bytes:
    lines = f"Nats-Subject: s\r\nNats-Sequence: {sequence}\r\nNats-Last-Sequence: {before}\r\n"
    return f"NATS/1.0\r\n{extra}{lines}\r\n".encode()


@pytest.mark.parametrize(
    "ack", [b'{"stream":"x_events","seq":17}', b'{"stream":"x","domain":"d","seq": 17, "duplicate":false}']
)
def test_an_acknowledgement_is_a_sequence(ack: bytes) -> None:
    assert outcome_of(ack) == 17


def test_only_one_code_says_that_the_last_message_is_another() -> None:
    """10071. A message in flight (10164) and a leader that is gone may end either way."""
    wrong = outcome_of(b'{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 5"},"seq":0}')
    assert isinstance(wrong, WrongLast)
    assert wrong.last == 5
    for code in (10164, 10008, 10077, 10047, 10054, 1, 0):
        assert isinstance(outcome_of(b'{"error":{"code":400,"err_code":%d}}' % code), Refused)


@pytest.mark.parametrize(
    ("code", "reason", "temporary"),
    [
        (10164, "storage_unavailable", True),
        (10008, "storage_unavailable", True),
        (10077, "storage_full", False),
        (10047, "storage_full", False),
        (10054, "too_large", False),
    ],
)
def test_a_refusal_says_what_may_help(code: int, reason: str, temporary: bool) -> None:
    http = 400 if code == 10164 else 503
    refused = outcome_of(b'{"error":{"code":%d,"err_code":%d,"description":"why"}}' % (http, code))
    assert isinstance(refused, Refused)
    assert (refused.reason, refused.temporary, refused.code) == (reason, temporary, code)


@pytest.mark.parametrize("answer", [None, b"+OK", b'{"error":[]}', b'{"seq":}', b"\xff"])
def test_what_is_no_acknowledgement_leaves_the_outcome_unknown(answer: bytes | None) -> None:
    assert isinstance(outcome_of(answer), OutcomeUnknown)


def test_nobody_there_stored_nothing() -> None:
    assert isinstance(outcome_of(b""), Refused)


def test_headers_of_the_server_win_over_those_that_were_stored() -> None:
    """A message could carry a header of the same name, as it was published."""
    headers = message(5, 0, "Nats-Sequence: 99\r\n")
    assert header_of(headers, b"Nats-Sequence") == b"5"
    assert header_of(headers, b"Sequence") == b""
    assert status_of(headers) == 0
    assert status_of(b"NATS/1.0 204 EOB\r\n\r\n") == 204


def test_a_batch_ends_before_a_gap() -> None:
    """A message that was lost on the way is not passed over."""

    async def play() -> None:
        batch = Batch(0, 1)
        assert not batch.take(message(3, 0), b"c")
        assert not batch.take(message(5, 3), b"e")
        assert not batch.take(message(9, 7), b"i")
        assert not batch.take(message(11, 9), b"k")
        assert batch.take(b"NATS/1.0 204 EOB\r\n\r\n", b"")
        assert batch.over.done()
        assert [found.sequence for found in batch.messages] == [3, 5]
        assert batch.trouble
        headless = Batch(0, 1)
        assert not headless.take(message(5, 3), b"e")
        assert headless.messages == []

    asyncio.run(play())
