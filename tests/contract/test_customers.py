"""A body mentions a customer where a value, a key or a message id of it is the customer's number, however written;
and never where it only looks alike: another number, a part of one, the business's own."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kirimhook.contract import customers, samples

NUMBER = customers.number("+6281234567890")
NUMBERS = st.from_regex(r"[1-9][0-9]{9,14}", fullmatch=True).map(customers.number)
BLANKS = st.sampled_from(["", " ", "-", ".", "\u00a0", "\u2011", " - "])
TEXTS = st.text(max_size=20)
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), TEXTS)
PAYLOADS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=12,
)


@st.composite
def written(draw: st.DrawFn, number: str) -> object:
    """One of the ways in which a number is written."""
    way = draw(st.sampled_from(["int", "plain", "plus", "zeros", "tel", "jid", "spread", "wamid", "copied"]))
    if way == "int":
        return int(number)
    if way == "wamid":
        around = draw(st.binary(max_size=6)).translate(None, b"0123456789"), b"\x15\x02\x00\x11\x18"
        return "wamid." + base64.b64encode(around[0] + number.encode() + around[1]).decode()
    if way == "spread":
        return "+" + "".join(digit + draw(BLANKS) for digit in number)
    forms = {"plain": "{}", "plus": "+{}", "zeros": "00{}", "tel": "tel:+{}", "copied": "\u202a+{}\u202c"}
    return {**forms, "jid": "{}@s.whatsapp.net"}[way].format(number)


def planted(payload: object, value: object, where: list[int]) -> object:
    """The payload with this value somewhere in it."""
    if isinstance(payload, list) and payload and where:
        at = where[0] % len(payload)
        return [*payload[:at], planted(payload[at], value, where[1:]), *payload[at + 1 :]]
    if isinstance(payload, dict) and payload and where:
        key = list(payload)[where[0] % len(payload)]
        return {**payload, key: planted(payload[key], value, where[1:])}
    return {"kept": payload, "customer": value}


def found_by_hand(payload: object, number: str) -> bool:
    """Independent: every text and number of it, its signs thrown away, unless it holds letters."""
    if isinstance(payload, dict):
        return any(found_by_hand(part, number) for pair in payload.items() for part in pair)
    if isinstance(payload, list):
        return any(found_by_hand(part, number) for part in payload)
    return not isinstance(payload, bool) and re.sub(r"\D", "", str(payload)) == number


@given(PAYLOADS, NUMBERS, st.data(), st.lists(st.integers(0, 9), max_size=4), st.booleans())
def test_a_number_is_found_wherever_it_is_and_however_it_is_written(
    payload: object, number: customers.Number, data: st.DataObject, where: list[int], escaped: bool
) -> None:
    whole = planted(payload, data.draw(written(number)), where)
    assert customers.mentions(json.dumps(whole, ensure_ascii=escaped).encode("utf-8", "surrogatepass"), number)


NEAR = st.sampled_from(["{}7", "7{}", "call {}", "{} or 7", "{}x", "wamid.{}", "0{}"])


@given(PAYLOADS, NUMBERS, NEAR, st.lists(st.integers(0, 9), max_size=4))
def test_what_is_nearly_the_number_is_not_found(
    payload: object, number: customers.Number, near: str, where: list[int]
) -> None:
    whole = planted(payload, near.format(number), where)
    assert customers.mentions(json.dumps(whole).encode(), number) is found_by_hand(payload, number)


@given(st.binary(max_size=200), NUMBERS)
def test_no_body_makes_it_raise(body: bytes, number: customers.Number) -> None:
    assert customers.mentions(body, number) in (True, False)


@pytest.mark.parametrize("name", samples.names())
def test_every_documented_payload_with_a_customer_is_found_by_the_number_and_by_no_other(name: str) -> None:
    sample = samples.load(name).renewed(customer=NUMBER)
    holds_one = not sample.type.startswith("conversation.")  # ids alone: nothing of the customer's
    assert customers.mentions(sample.body, NUMBER) is holds_one
    assert not customers.mentions(sample.body, customers.number("+6281234567891"))


def test_the_businesss_own_number_is_no_customers() -> None:
    sample = samples.load("message.received.text")
    (change,) = json.loads(sample.body)["entry"][0]["changes"]
    business = customers.number(change["value"]["metadata"]["display_phone_number"])
    assert business.encode() in sample.body
    assert not customers.mentions(sample.body, business)


def test_the_id_of_a_message_holds_the_number() -> None:
    sample = samples.load("message.received.text")
    assert customers.is_named_by(sample.event_id, customers.number("6281234500001"))
    assert not customers.is_named_by(sample.event_id, customers.number("628123450000"))
    assert not customers.is_named_by("wamid.!", NUMBER)
    assert not customers.is_named_by("wamid.A", NUMBER)


@given(NUMBERS, st.binary(max_size=6), st.booleans(), st.booleans())
@example(NUMBER, b"\x00\x3e", True, True)  # its one sign of the alphabet for URLs is a dash
def test_in_either_alphabet_of_base64(number: customers.Number, tail: bytes, of_urls: bool, padded: bool) -> None:
    encode = base64.urlsafe_b64encode if of_urls else base64.b64encode
    said = "wamid." + encode(b"\x1d\x0c" + number.encode() + b"\x15" + tail).decode()
    assert customers.is_named_by(said if padded else said.rstrip("="), number)


@pytest.mark.parametrize(
    "payload",
    [
        {"text": {"body": "ring me at +62 812 3456 7890, thanks"}},
        {"n": "628123456789"},
        {"n": "62812345678901"},
        {"n": 6281234567890.5},
        {"n": "081234567890"},  # which country's cannot be known
        {"n": True, "m": None, "o": "", "p": "…"},
    ],
)
def test_what_only_looks_alike_is_not_found(payload: dict[str, Any]) -> None:
    assert not customers.mentions(json.dumps(payload).encode(), NUMBER)


@pytest.mark.parametrize(
    "body",
    [
        b'{"from": "6281234567890", "from": "1"}',  # the first of two of one name
        b'{"6281234567890": 1}',
        b'{"n": 6281234567890.0}',
        b'{"n": "+62 (0)812-3456-7890"}',
        b"\xff number 62 812-3456-7890 \xfe",  # no JSON: its text
        b"[" * 100_000 + b'"6281234567890"',
    ],
)
def test_what_a_usual_reading_would_miss_is_found(body: bytes) -> None:
    assert customers.mentions(body, NUMBER)


def test_what_is_no_json_is_read_as_text() -> None:
    assert not customers.mentions(b"\xff 162812345678901 \xfe", NUMBER)


@pytest.mark.parametrize("said", ["", "+", "12", "abc", "+62 812 x", "0812-3456-7890", "1" * 16, "9" * 100])
def test_what_is_no_number_with_its_country_is_refused_without_a_word_of_it(said: str) -> None:
    with pytest.raises(ValueError, match=r"as in \+6281234567890") as caught:
        customers.number(said)
    assert len(said) < 3 or said not in str(caught.value).replace("+6281234567890", "")


@given(NUMBERS, st.data())
def test_a_number_is_its_digits(number: customers.Number, data: st.DataObject) -> None:
    said = "+" + "".join(digit + data.draw(BLANKS) for digit in number)
    assert customers.number(said) == customers.number(f"00{number}") == number
    assert len(customers.masked(number)) == 4
