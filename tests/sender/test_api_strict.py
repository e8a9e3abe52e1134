"""A JSON body has one reading, the standard parser's, or is `invalid_json`: no other exception, whatever the bytes."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kirimhook.contract.errors import ApiError
from kirimhook.sender.api.strict import MAX_DEPTH, canonical, loads, loads_aside

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)

REFUSED = {
    "empty": b"",
    "a blank": b" ",
    "no JSON": b"{'a': 1}",
    "two values": b"{}{}",
    "a field twice": b'{"a": 1, "a": 1}',
    "a field twice, spelt otherwise": rb'{"a": 1, "\u0061": 2}',
    "a field twice, deep inside": b'{"x": [{"y": {"a": 1, "b": 2, "a": 3}}]}',
    "NaN": b'{"a": NaN}',
    "infinity": b'{"a": -Infinity}',
    "a float too large": b'{"a": 1e999}',
    "an integer too long": b'{"a": ' + b"9" * 5000 + b"}",
    "half a pair": rb'{"a": "\ud800"}',
    "the other half": rb'{"a": "\uDFFF!"}',
    "half a pair in a name": rb'{"\uDBFF": 1}',
    "raw half a pair": b'{"a": "\xed\xa0\x80"}',
    "not UTF-8": b'{"a": "\xff"}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf{}",
    "a raw NUL": b'{"a": "\x00"}',
    "a raw line end in a text": b'{"a": "\n"}',
    "too deep": b"[" * (MAX_DEPTH + 2) + b"]" * (MAX_DEPTH + 2),
    "much too deep": b"[" * 100_000,
    "deep objects": b'{"a":' * 5000 + b"1" + b"}" * 5000,
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_could_be_read_in_two_ways_or_not_at_all_is_refused(name: str) -> None:
    with pytest.raises(ApiError) as refused:
        loads(REFUSED[name])
    assert refused.value.code == "invalid_json"
    assert len(refused.value.message) < 200
    assert refused.value.message.isprintable()


@pytest.mark.parametrize(
    "body",
    [
        b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
        rb'{"a": "\ud83d\ude00"}',
        rb'{"a": "\\ud800"}',
        rb'{"a": "\u0000"}',
        b'{"a": ' + b"9" * 4000 + b"}",
        b' {"a" : [ ] } \n',
    ],
)
def test_what_is_unusual_but_clear_is_read_as_the_standard_parser_reads_it(body: bytes) -> None:
    assert loads(body) == json.loads(body)


@given(values)
def test_what_json_can_say_is_read_back(value: Any) -> None:
    said = json.dumps(value).encode()
    assert loads(said) == value
    assert json.loads(canonical(loads(said))) == value


@given(st.binary(max_size=200) | st.text(alphabet='{}[]",:\\u0dD8eE1-+. \x00aé', max_size=80).map(str.encode))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    refusals = []
    try:
        value = loads(body)
    except ApiError as refused:
        refusals.append(refused.code)
    else:
        assert json.loads(body) == value
        assert canonical(value)
    assert refusals in ([], ["invalid_json"])


@given(st.dictionaries(st.text(), st.integers(), min_size=2, max_size=6))
def test_the_canonical_bytes_do_not_depend_on_order_and_spelling(value: dict[str, int]) -> None:
    backwards = dict(reversed(value.items()))
    assert canonical(loads(json.dumps(value).encode())) == canonical(
        loads(json.dumps(backwards, ensure_ascii=False, indent=3).encode())
    )


def test_a_large_body_is_read_in_a_thread_with_the_same_result() -> None:
    body = json.dumps({"a": ["x" * 1000] * 200}).encode()
    assert len(body) > 64 * 1024
    assert asyncio.run(loads_aside(body)) == json.loads(body)
    with pytest.raises(ApiError):
        asyncio.run(loads_aside(body + b"]"))
