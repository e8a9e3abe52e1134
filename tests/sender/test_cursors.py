"""A cursor leads on in the list that it came with, and in no other; any other text is refused as `invalid_cursor`."""

from __future__ import annotations

import base64
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kirimhook.contract.errors import ApiError
from kirimhook.sender.service.cursors import MAX_CHARS, Cursors

OLD, NEW = b"o" * 32, b"n" * 32
BOUND = ("deliveries", "org", "wbs_1", None, "dead", "False")
POSITION = "wbd_01HXYZ"
bounds = st.lists(st.none() | st.text(max_size=5) | st.booleans() | st.integers(), max_size=4).map(tuple)


def refused(cursors: Cursors, cursor: str, *bound: object) -> bool:
    try:
        cursors.read(cursor, *bound)
    except ApiError as error:
        return (error.code, error.status, error.param) == ("invalid_cursor", 400, "cursor")
    return False


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=60), bounds)
def test_it_leads_on(position: str, bound: tuple[object, ...]) -> None:
    cursor = Cursors([NEW]).make(position, *bound)
    assert Cursors([NEW]).read(cursor, *bound) == position
    assert set(cursor) <= set(string.ascii_letters + string.digits + "-_")


def test_none_is_the_beginning() -> None:
    assert Cursors([NEW]).read(None, *BOUND) is None


@given(bounds, bounds)
def test_another_list_refuses_it(bound: tuple[object, ...], other: tuple[object, ...]) -> None:
    cursor = Cursors([NEW]).make(POSITION, *bound)
    same = [(type(one), one) for one in bound] == [(type(one), one) for one in other]
    assert refused(Cursors([NEW]), cursor, *other) is not same


def test_every_other_character_is_noticed() -> None:
    cursors = Cursors([NEW])
    cursor = cursors.make(POSITION, *BOUND)
    for place, was in enumerate(cursor):
        for char in set("Aa0-_=+/ \n\x00é\ud800") - {was}:
            assert refused(cursors, cursor[:place] + char + cursor[place + 1 :], *BOUND), (place, char)


@given(st.text(max_size=80) | st.binary(max_size=80).map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_any_other_text_is_refused(text: str) -> None:
    assert refused(Cursors([NEW]), text, *BOUND)


def test_one_cursor_has_one_text() -> None:
    cursors = Cursors([NEW])
    cursor = cursors.make(POSITION, *BOUND)
    for other in (cursor + "=", cursor + "==", cursor + "\n", " " + cursor, cursor + "A", cursor[:-1]):
        assert refused(cursors, other, *BOUND), other


def test_one_that_is_too_long_is_refused() -> None:
    cursors = Cursors([NEW])
    assert refused(cursors, cursors.make("x" * MAX_CHARS, *BOUND), *BOUND)


def test_an_old_key_still_reads_and_the_new_one_makes() -> None:
    before = Cursors([OLD]).make(POSITION, *BOUND)
    assert Cursors([NEW, OLD]).read(before, *BOUND) == POSITION
    assert Cursors([NEW]).read(Cursors([NEW, OLD]).make(POSITION, *BOUND), *BOUND) == POSITION
    assert refused(Cursors([NEW]), before, *BOUND)


@pytest.mark.parametrize("keys", [[], [b""], [NEW, b""]])
def test_there_is_no_cursor_without_a_key(keys: list[bytes]) -> None:
    with pytest.raises(ValueError, match="key"):
        Cursors(keys)
