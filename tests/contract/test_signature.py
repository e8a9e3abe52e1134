"""A signature is accepted exactly when a known secret made it, over these bytes, at about this time.

Whatever else arrives, `verify` raises SignatureError with the reason, and nothing but SignatureError.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kirimhook.contract.signature import (
    MAX_HEADER_BYTES,
    MAX_PARTS,
    Reason,
    Secret,
    SignatureError,
    Verified,
    sign,
    verify,
)
from tests.contract.table import cases, content, file, header, hmac_sha256

NOW = 1779530400
PRINTABLE = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=256)
SECRETS = st.lists(PRINTABLE.map(Secret), max_size=4)


def secrets_of(case: dict[str, Any]) -> list[Secret]:
    return [Secret(value) for value in case["secrets"]]


def check(case: dict[str, Any], arriving: bytes | str | None) -> Verified:
    return verify(secrets_of(case), arriving, content(case["body"]), case["now"], case["tolerance"])


def assert_as_expected(case: dict[str, Any], arriving: bytes | str | None) -> None:
    """Accepted or refused as the vector says, with the secrets that matched."""
    expect, secrets = case["expect"], secrets_of(case)
    wanted = tuple(secrets[index] for index in expect["matched"])
    if "refused" not in expect:
        assert check(case, arriving) == (wanted, expect["timestamp"])
        return
    with pytest.raises(SignatureError) as caught:
        check(case, arriving)
    assert caught.value.reason == expect["refused"]
    assert caught.value.matched == wanted


ALL = [*cases("signatures", "accepted", "refused"), *cases("tolerance")]


@pytest.mark.parametrize("case", ALL)
def test_vector(case: dict[str, Any]) -> None:
    assert_as_expected(case, header(case["header"]))


@pytest.mark.parametrize("case", [case for case in ALL if isinstance(case.values[0]["header"], str)])
def test_vector_given_as_text(case: dict[str, Any]) -> None:
    assert_as_expected(case, case["header"])


@pytest.mark.parametrize("case", cases("signatures", "accepted"))
def test_vector_with_parts_reversed_and_blanks(case: dict[str, Any]) -> None:
    parts = case["header"].split(",")
    if len(case["header"]) + 4 * len(parts) <= MAX_HEADER_BYTES:
        assert_as_expected(case, " ,\t ".join(reversed(parts)).encode())


def test_every_reason_has_a_vector() -> None:
    refused = {case["expect"].get("refused") for name in ("accepted", "refused") for case in file("signatures")[name]}
    late = {case["expect"].get("refused") for case in file("tolerance")["cases"]}
    assert (refused | late) - {None} == set(Reason)


@pytest.mark.parametrize("case", cases("signing"))
def test_sign_vector(case: dict[str, Any]) -> None:
    assert sign(secrets_of(case), content(case["body"]), case["now"]) == case["header"]


@given(SECRETS, st.one_of(st.none(), st.binary(), st.text()), st.binary(), st.floats())
def test_nothing_but_signature_error(
    secrets: list[Secret], arriving: bytes | str | None, body: bytes, now: float
) -> None:
    """Random bytes match no HMAC; whatever they are, they end in the one error."""
    with pytest.raises(SignatureError):
        verify(secrets, arriving, body, now)


PARTS = st.tuples(
    st.sampled_from(["t", "v1", "v0", "T", "", "t ", " t"]),
    st.sampled_from(["", "=", "=="]),
    st.one_of(
        st.integers().map(str),
        st.binary(min_size=32, max_size=32).map(bytes.hex),
        st.text("0123456789abcdefg \u0661", max_size=70),
        st.text(max_size=5),
    ),
).map("".join)


@given(st.lists(PARTS, max_size=MAX_PARTS + 2).map(",".join), st.binary(max_size=8))
def test_nothing_but_signature_error_for_what_looks_like_a_header(arriving: str, body: bytes) -> None:
    for given_as in (arriving, arriving.encode("utf-8", "surrogatepass"), arriving.encode("utf-16")):
        with pytest.raises(SignatureError):
            verify([Secret("whsec_x")], given_as, body, NOW)


@given(
    st.lists(PRINTABLE, min_size=1, max_size=MAX_PARTS - 1, unique=True),
    st.binary(max_size=300),
    st.integers(0, 10**15 - 1),
    st.floats(-300, 300),
    st.data(),
)
def test_what_is_signed_is_verified_by_each_secret_alone_and_by_all(
    values: list[str], body: bytes, at: int, skew: float, data: st.DataObject
) -> None:
    header_text = sign([Secret(value) for value in values], body, at)
    macs = [hmac_sha256(value.encode(), f"{at}.".encode() + body) for value in values]
    assert header_text == f"t={at}," + ",".join(f"v1={mac}" for mac in macs)
    if abs((at + skew) - at) > 300:  # rounding of large times
        skew = 0
    known = data.draw(st.lists(st.sampled_from(values), min_size=1, max_size=4))
    verified = verify([Secret(value) for value in known], header_text, body, at + skew)
    assert verified == (tuple(Secret(value) for value in known), at)


@given(st.binary(min_size=1, max_size=100), st.data())
def test_one_changed_bit_anywhere_in_the_body_is_refused(body: bytes, data: st.DataObject) -> None:
    secret = Secret("whsec_x")
    bit = data.draw(st.integers(0, len(body) * 8 - 1))
    changed = bytearray(body)
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(SignatureError) as caught:
        verify([secret], sign([secret], body, NOW), bytes(changed), NOW)
    assert caught.value.reason is Reason.NO_MATCH


@pytest.mark.parametrize("now", [math.nan, math.inf, -math.inf])
def test_a_clock_that_says_no_number_accepts_nothing(now: float) -> None:
    secret = Secret("whsec_x")
    with pytest.raises(SignatureError) as caught:
        verify([secret], sign([secret], b"", NOW), b"", now)
    assert caught.value.reason in {Reason.STALE, Reason.FUTURE}


def test_the_error_tells_the_skew_and_no_secret() -> None:
    secret = Secret("whsec_topsecret")
    with pytest.raises(SignatureError) as caught:
        verify([secret], sign([secret], b"", NOW), b"", NOW + 400.5)
    assert caught.value.skew == 400.5
    assert str(caught.value) == "stale"
    assert "topsecret" not in repr(caught.value)
    with pytest.raises(SignatureError) as early:
        verify([secret], "t=x,v1=", b"", NOW)
    assert early.value.skew is None


@pytest.mark.parametrize(
    ("secrets", "now"),
    [([], NOW), ([Secret("x")] * MAX_PARTS, NOW), ([Secret("x")], -1), ([Secret("x")], 10**15)],
    ids=["no secret", "more than fit", "before 1970", "too far"],
)
def test_sign_makes_no_header_that_verify_would_refuse(secrets: list[Secret], now: int) -> None:
    with pytest.raises(ValueError):
        sign(secrets, b"", now)


def test_as_many_secrets_as_fit_are_signed_with_and_verified() -> None:
    secrets = [Secret(f"whsec_{number}") for number in range(MAX_PARTS - 1)]
    header_text = sign(secrets, b"body", NOW)
    assert len(header_text) <= MAX_HEADER_BYTES
    assert verify(secrets, header_text, b"body", NOW).matched == tuple(secrets)
