"""A body is shown as text and nothing but text: all that is in it, nothing that is not, and never more than fits."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kirimhook.pages import bodies
from kirimhook.pages.bodies import MOST, pretty, shown, visible

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)


def blanks_gone(text: str) -> list[str]:
    """An independent account of JSON's tokens: what is between strings, without its blanks."""
    parts = re.split(r'("(?:[^"\\]|\\.)*")', text)
    return ["".join(part.split()) if not part.startswith('"') else part for part in parts]


@given(VALUES.filter(lambda value: isinstance(value, dict | list)), st.booleans())
def test_pretty_json_is_the_same_json(value: object, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, separators=(",", ":"))
    made = pretty(text)
    assert made is not None
    assert blanks_gone(made) == blanks_gone(visible(text))
    if visible(text) == text:
        assert json.loads(made) == value
        assert made == json.dumps(value, ensure_ascii=ascii_only, indent=2)


@pytest.mark.parametrize(
    "text", ['{"n":1.0e400,"n":1.10}', '{"big":123456789012345678901234567890.0010}', r'["\u003c\/"]']
)
def test_no_digit_escape_or_repeated_name_is_lost(text: str) -> None:
    made = pretty(text)
    assert made is not None
    assert "".join(made.split()) == text


@pytest.mark.parametrize(
    "text", ["", "no", '"a string"', "17", "{", "[1,]", "[" * 5000 + "]" * 5000, "[" * 101 + "]" * 101, "\ufeff{}"]
)
def test_what_is_not_worth_indenting_is_left(text: str) -> None:
    assert pretty(text) is None


def test_deep_nesting_does_not_blow_up() -> None:
    body = b"[" * 99 + b"1," * 30_000 + b"1" + b"]" * 99
    assert len(body) < MOST
    found = shown(body)
    assert found.pretty is None
    assert found.text == body.decode()


@given(st.binary(max_size=300))
def test_whatever_the_bytes_nothing_unseen_is_shown(body: bytes) -> None:
    found = shown(body)
    assert not found.is_cut
    assert not bodies._UNSEEN.search(found.text)
    assert visible(body.decode("utf-8", "replace")) == found.text


def test_an_override_of_direction_is_written_out() -> None:
    assert shown("a\u202eb\x1b[2Jc\td\ne".encode()).text == "a\\u202eb\\u001b[2Jc\td\ne"


def test_a_long_body_is_cut_at_a_whole_character() -> None:
    body = "€".encode() * MOST
    found = shown(body)
    assert found.is_cut
    assert found.pretty is None
    assert set(found.text) == {"€"}
    assert len(found.text.encode()) <= MOST


def test_the_beginning_of_a_body_is_not_taken_for_all_of_it() -> None:
    found = shown(b'{"a":1}', 4_000_000)
    assert (found.text, found.pretty, found.is_cut) == ('{"a":1}', None, True)
