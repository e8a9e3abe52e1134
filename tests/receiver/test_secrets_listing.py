"""A list of secrets is taken whole or not at all, and no half of a file passes for a list.

`known` are the secrets in force. Whatever the file is cut to, the result holds every known secret that the
whole file holds, or nothing is taken; except where the cut leaves whole lines only, which no reader can tell
from a shorter list (test_secrets_file.py: those wait until the file is left alone).
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kirimhook.contract.signature import Secret
from kirimhook.receiver.secrets.listing import UnusableListError, from_file, from_text, from_values

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
SECRETS = st.text(ALPHABET, min_size=43, max_size=43).map("whsec_".__add__)
"""As the contract has them: 32 bytes in url-safe base64."""
A, B, C = ("whsec_" + letter * 43 for letter in "abc")


def values(secrets: tuple[Secret, ...]) -> list[str]:
    return [secret.reveal() for secret in secrets]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (A, [A]),
        (f"{A},{B}", [A, B]),
        (f" {A} , {B} ,, \n{C}\r\n", [A, B, C]),
        (f"{A}\n{A}", [A]),
        ("whsec_" + "x" * 24, ["whsec_" + "x" * 24]),
        (A + "=", [A + "="]),
        ("whsec_" + "a+/-_" * 6 + "==", ["whsec_" + "a+/-_" * 6 + "=="]),
    ],
)
def test_texts_that_are_lists(text: str, expected: list[str]) -> None:
    assert values(from_text(text)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ,\n, ",
        "whsec_",
        "whsec_" + "x" * 23,
        A[6:],
        f'"{A}"',
        f"{A} {B}",
        f"{A};{B}",
        f"{A},no",
        A + "===",
        A * 10,
        A + "é",
    ],
)
def test_texts_that_are_none_and_nothing_of_them_is_quoted(text: str) -> None:
    with pytest.raises(UnusableListError) as refused:
        from_text(text)
    assert "whsec_a" not in str(refused.value)


def test_there_is_a_bound_on_how_many() -> None:
    many = [f"whsec_{n:043d}" for n in range(65)]
    assert len(from_values(many[:64])) == 64
    with pytest.raises(UnusableListError, match="more than 64"):
        from_values(many)


@pytest.mark.parametrize(
    "raw",
    [
        f"{A}\n{B}\n",
        f"{A}\n{B}",
        f"# the secrets\n\n  {A}  \n\t# old:\n{B}\n\n",
        f"{A}\r\n{B}\r\n",
        f"\ufeff{A}\n{B}\n",
    ],
)
def test_files_that_are_lists(raw: str) -> None:
    for known in ((), (Secret(A),), (Secret(A), Secret(B)), (Secret(C),)):
        assert values(from_file(raw.encode(), known)) == [A, B]


@pytest.mark.parametrize(
    ("raw", "known"),
    [
        (b"", ()),
        (b"\n# nothing yet\n", ()),
        (b"\xff\xfe", ()),
        (f"{A},{B}\n".encode(), ()),
        (f"{A}\n{B[:30]}".encode(), ()),
        (f"{A}\n{C[:48]}".encode(), (A, B)),
        (f"{A[:40]}".encode(), (A,)),
        (f"{A[:40]}\n".encode(), (A,)),
        (f"{A}\n{A[:40]}\n".encode(), ()),
        (f"{A}\n{A}x".encode()[:-1] + b"\n" + A[:-1].encode(), ()),
    ],
)
def test_files_that_are_none(raw: bytes, known: tuple[str, ...]) -> None:
    with pytest.raises(UnusableListError):
        from_file(raw, [Secret(value) for value in known])


def test_a_longer_secret_than_the_others_is_taken_without_a_newline() -> None:
    assert values(from_file(f"{A}\n{B}longer".encode(), (Secret(A),))) == [A, B + "longer"]


@st.composite
def files(draw: st.DrawFn) -> tuple[list[str], str]:
    """The secrets of a good file, and its text: any order, comments, blank lines, last newline or none."""
    secrets = draw(st.lists(SECRETS, min_size=1, max_size=4, unique=True))
    noise = st.lists(st.sampled_from(["", "# a comment", "  "]), max_size=2)
    lines = [line for secret in secrets for line in (*draw(noise), secret)] + draw(noise)
    return secrets, "\n".join(lines) + draw(st.sampled_from(["\n", ""]))


@given(files(), st.data())
def test_no_cut_of_a_file_gives_a_fragment_or_loses_a_secret_within_a_line(
    made: tuple[list[str], str], data: st.DataObject
) -> None:
    secrets, text = made
    known = data.draw(st.lists(st.sampled_from(secrets), min_size=1, unique=True))
    cut = data.draw(st.integers(0, len(text)))
    raw = text[:cut]
    try:
        taken = values(from_file(raw.encode(), [Secret(value) for value in known]))
    except UnusableListError:
        return
    assert set(taken) <= set(secrets)
    between_lines = [value for value in known if value not in taken]
    for value in between_lines:
        assert not any(value.startswith(line) for line in raw.split("\n")[-1:] if line.startswith("whsec_"))


@given(st.binary(max_size=200), st.lists(SECRETS, max_size=3))
def test_any_bytes_are_a_list_or_the_one_error(raw: bytes, known: list[str]) -> None:
    try:
        taken = from_file(raw, [Secret(value) for value in known])
    except UnusableListError:
        return
    assert taken
