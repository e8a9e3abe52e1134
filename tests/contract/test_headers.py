"""Headers are read whatever their order, case and number; what is unusable is absent, never an exception.

What the sender builds, `parse` reads back.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kirimhook.contract import headers
from kirimhook.contract.headers import DeliveryHeaders
from kirimhook.contract.signature import MAX_PARTS, Secret, sign, verify
from tests.contract.table import cases

BUILT = {
    "source": "meta",
    "event_type": "message.received",
    "event_id": "wamid.HBgNNjI4",
    "delivery_id": "wbd_01KSA4F98GEPRN2JT15ZFTMY66",
    "attempt": 3,
    "signature": "t=1,v1=" + "0" * 64,
}
READ = DeliveryHeaders(
    event_id="wamid.HBgNNjI4",
    event_type="message.received",
    source="meta",
    delivery_id="wbd_01KSA4F98GEPRN2JT15ZFTMY66",
    attempt=3,
    signature=b"t=1,v1=" + b"0" * 64,
    content_type=b"application/json",
    content_length=461,
)
NOTHING = DeliveryHeaders("", "", "", "", 0, None, b"", None)
TEXT_HEADERS = {
    b"x-kirim-event-id": "event_id",
    b"x-kirim-event": "event_type",
    b"x-kirim-source": "source",
    b"x-kirim-delivery-id": "delivery_id",
}


def arriving() -> list[tuple[bytes, bytes]]:
    built = {**headers.build(**BUILT), "Content-Length": "461", "Host": "example.com", "Accept": "*/*"}  # type: ignore[arg-type]  # a dict of the arguments
    return [(name.encode(), value.encode()) for name, value in built.items()]


def cased(name: bytes, upper: list[bool]) -> bytes:
    letters = [name[i : i + 1] for i in range(len(name))]
    return b"".join(one.upper() if up else one.lower() for one, up in zip(letters, upper, strict=False))


@given(
    st.permutations(arriving()), st.lists(st.booleans(), min_size=25, max_size=25), st.sampled_from(["", " ", "\t "])
)
def test_what_is_built_is_read_in_any_order_case_and_with_blanks(
    given_as: list[tuple[bytes, bytes]], upper: list[bool], blanks: str
) -> None:
    pad = blanks.encode()
    read = headers.parse([(cased(name, upper), pad + value + pad) for name, value in given_as])
    assert read._replace(signature=(read.signature or b"").strip()) == READ


@given(
    st.lists(
        st.tuples(
            st.one_of(st.sampled_from([name for name, _ in arriving()]), st.binary(max_size=20)),
            st.one_of(st.binary(max_size=30), st.integers().map(lambda n: str(n).encode())),
        )
    )
)
def test_parse_never_raises_and_holds_nothing_unusable(given_as: list[tuple[bytes, bytes]]) -> None:
    read = headers.parse(given_as)
    assert read.attempt >= 0
    assert read.content_length is None or read.content_length >= 0
    for text in (read.event_id, read.event_type, read.source, read.delivery_id, read.content_type.decode("latin-1")):
        assert text == text.strip(" \t")
        assert not any(ord(letter) < 32 or ord(letter) == 127 for letter in text)


def test_nothing_is_read_from_nothing() -> None:
    assert headers.parse([]) == NOTHING
    assert headers.parse([(name, b" \t") for name in TEXT_HEADERS]) == NOTHING


@pytest.mark.parametrize("name", TEXT_HEADERS)
@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([b"a"], "a"),
        ([b"\t a b  "], "a b"),
        ([b"a", b" a"], "a"),
        ([b"a", b"b"], ""),
        ([b"a", b"b", b"a"], ""),
        ([b"a", b""], ""),
        ([b"a\x00b"], ""),
        ([b"a\nb"], ""),
        ([b"a\tb"], ""),
        ([b"a\x7fb"], ""),
        ([b"a\x00", b"a"], ""),
        ([b"x" * 512], "x" * 512),
        ([b" " + b"x" * 512 + b" "], "x" * 512),
        ([b"x" * 513], ""),
        (["à".encode()], "à".encode().decode("latin-1")),
    ],
)
def test_a_text_header(name: bytes, values: list[bytes], wanted: str) -> None:
    assert getattr(headers.parse([(name, value) for value in values]), TEXT_HEADERS[name]) == wanted


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (b"8", 8),
        (b" 08 ", 8),
        (b"0", 0),
        (b"9" * 15, 999999999999999),
        (b"9" * 16, None),
        (b"-1", None),
        (b"+1", None),
        (b"1.0", None),
        (b"1_0", None),
        (b"\xb2", None),
        (b"", None),
        (b"x", None),
    ],
)
def test_a_number(value: bytes, wanted: int | None) -> None:
    read = headers.parse([(b"content-length", value), (b"x-kirim-attempt", value)])
    assert read.content_length == wanted
    assert read.attempt == (wanted or 0)


def test_lengths_that_contradict_each_other_are_no_length() -> None:
    assert headers.parse([(b"content-length", b"1"), (b"Content-Length", b"2")]).content_length is None


def test_a_signature_is_left_for_verify_to_judge() -> None:
    long = b"t=1," + b"v1=\x00" * 5000
    assert headers.parse([(b"x-kirim-signature", long)]).signature == long
    assert headers.parse([(b"x-kirim-signature", b"")]).signature == b""


def test_signatures_sent_as_several_headers_are_one_list() -> None:
    secret = Secret("whsec_x")
    parts = sign([secret], b"body", 1779530400).encode().split(b",")
    read = headers.parse([(b"X-Kirim-Signature", part) for part in parts])
    assert verify([secret], read.signature, b"body", 1779530400).matched == (secret,)


@pytest.mark.parametrize("case", cases("identities"))
def test_the_headers_of_the_vectors_travel_unchanged(case: dict[str, Any]) -> None:
    given_as = case["headers"]
    sent = {
        headers.EVENT_ID: given_as["event_id"],
        headers.EVENT: given_as["event_type"],
        headers.SOURCE: given_as["source"],
    }
    read = headers.parse([(name.encode(), value.encode()) for name, value in sent.items()])
    assert {"event_id": read.event_id, "event_type": read.event_type, "source": read.source} == given_as


def test_built_headers_are_those_of_the_contract() -> None:
    assert headers.build(**BUILT) == {  # type: ignore[arg-type]  # a dict of the arguments
        "Content-Type": "application/json",
        "User-Agent": "Kirim-Webhook/1.0",
        "X-Kirim-Source": "meta",
        "X-Kirim-Event": "message.received",
        "X-Kirim-Event-Id": "wamid.HBgNNjI4",
        "X-Kirim-Delivery-Id": "wbd_01KSA4F98GEPRN2JT15ZFTMY66",
        "X-Kirim-Attempt": "3",
        "X-Kirim-Signature": "t=1,v1=" + "0" * 64,
    }


@pytest.mark.parametrize("value", ["", " a", "a ", "a\r\nX-Evil: 1", "a\x00", "é", "x" * 513])
def test_build_refuses_what_no_header_can_carry(value: str) -> None:
    with pytest.raises(ValueError, match="X-Kirim-Event-Id"):
        headers.build(**{**BUILT, "event_id": value})  # type: ignore[arg-type]  # a dict of the arguments


def test_build_carries_the_longest_signature() -> None:
    signature = sign([Secret(f"whsec_{number}") for number in range(MAX_PARTS - 1)], b"", 1)
    assert headers.build(**{**BUILT, "signature": signature})["X-Kirim-Signature"] == signature  # type: ignore[arg-type]  # a dict of the arguments
