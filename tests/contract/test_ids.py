"""An id is a prefix and a ULID: it sorts by time, holds its randomness, and is told from what is none."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kirimhook.contract import ids

MOMENTS = st.integers(0, (1 << 48) - 1)
RANDOMNESS = st.binary(min_size=10, max_size=10)
PREFIXES = [ids.SUBSCRIPTION, ids.SECRET, ids.DELIVERY, ids.EVENT, ids.REQUEST]


def decoded(ulid: str) -> int:
    """Crockford's base 32, through Python's own by exchanging the alphabets."""
    return int(ulid.translate(str.maketrans("ABCDEFGHJKMNPQRSTVWXYZ", "ABCDEFGHIJKLMNOPQRSTUV")), 32)


@given(st.sampled_from(PREFIXES), MOMENTS, RANDOMNESS)
def test_an_id_holds_its_moment_and_its_randomness(prefix: str, ms: int, randomness: bytes) -> None:
    made = ids.make(prefix, ms, randomness)
    assert re.fullmatch(f"{prefix}[0-9A-HJKMNP-TV-Z]{{26}}", made)
    assert decoded(made.removeprefix(prefix)) == int.from_bytes(ms.to_bytes(6, "big") + randomness, "big")
    assert [kind for kind in PREFIXES if ids.is_id(kind, made)] == [prefix]


@given(MOMENTS, MOMENTS, RANDOMNESS, RANDOMNESS)
def test_ids_sort_by_their_moment(one: int, other: int, left: bytes, right: bytes) -> None:
    if one != other:
        made = ids.make("evt_", one, left), ids.make("evt_", other, right)
        assert (made[0] < made[1]) == (one < other)


def test_a_known_ulid() -> None:
    """The example of the ULID specification."""
    assert ids.make("evt_", 1469918176385, b"\0" * 10)[4:14] == "01ARYZ6S41"


@pytest.mark.parametrize(
    ("ms", "randomness"), [(-1, b"\0" * 10), (1 << 48, b"\0" * 10), (0, b"\0" * 9), (0, b"\0" * 11)]
)
def test_what_makes_no_id(ms: int, randomness: bytes) -> None:
    with pytest.raises(ValueError):
        ids.make("evt_", ms, randomness)


@pytest.mark.parametrize(
    "text",
    ["", "evt_", "evt_" + "0" * 25, "evt_" + "0" * 27, "evt_" + "0" * 25 + "\n", "evt_" + "0" * 26 + "\n"]
    + ["evt_" + "0" * 25 + letter for letter in "ILOUa é"]
    + ["sec_" + "0" * 26, "0" * 26, " evt_" + "0" * 26],
)
def test_what_is_no_id(text: str) -> None:
    assert not ids.is_id("evt_", text)
