"""Which lines are a subscription's: never one that says it is of another, never one of which there is a doubt."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kirimhook.contract.signature import Secret
from kirimhook.operating.rotation import RefusedError
from kirimhook.operating.rotation.lines import Lines, of_subscription
from kirimhook.operating.secrets_file import Entry

OURS, OTHER = "wbs_1", "wbs_2"
SECRETS = [Secret(f"whsec_{number:030d}") for number in range(8)]
A, B, C = SECRETS[:3]


def test_lines_that_say_so_are_ours() -> None:
    entries = [Entry(A, OURS, "sec_a"), Entry(B, OTHER, "sec_b"), Entry(C)]

    assert of_subscription(entries, OURS, {"sec_a"}, ()) == Lines((A.fingerprint,), ())


def test_a_line_of_ours_that_is_not_in_force_any_more_is_ours_too() -> None:
    entries = [Entry(A, OURS, "sec_a"), Entry(B, OURS, "sec_b")]

    assert of_subscription(entries, OURS, {"sec_b"}, ()).old == (A.fingerprint, B.fingerprint)


def test_the_only_line_that_says_nothing_is_ours_where_one_is_missing_but_not_said() -> None:
    entries = [Entry(A), Entry(B, OTHER, "sec_b")]

    assert of_subscription(entries, OURS, {"sec_a"}, ()) == Lines((A.fingerprint,), (A.fingerprint,))


def test_who_names_a_line_has_said_it() -> None:
    entries = [Entry(A), Entry(B), Entry(C, OTHER, "sec_c")]

    assert of_subscription(entries, OURS, {"sec_a"}, [B.fingerprint]) == Lines((B.fingerprint,), ())


@pytest.mark.parametrize(
    ("entries", "named", "problem"),
    [
        ([Entry(A), Entry(B)], [], f"2 lines of the file \\({A.fingerprint}, {B.fingerprint}\\) do not say"),
        ([Entry(A, OTHER, "sec_b")], [], "sec_a of wbs_1 is in force, and no line of the file says it holds it"),
        ([Entry(A, OTHER, "sec_b")], [A.fingerprint], f"--old {A.fingerprint}: its line says it is of wbs_2"),
        ([Entry(A)], ["0" * 12], f"--old {'0' * 12}: no line of the file has it"),
    ],
)
def test_a_doubt_is_refused(entries: list[Entry], named: list[str], problem: str) -> None:
    with pytest.raises(RefusedError, match=problem):
        of_subscription(entries, OURS, {"sec_a"}, named)


@st.composite
def files(draw: st.DrawFn) -> list[tuple[Entry, str]]:
    """Entries, each with the subscription that it is of, whether its line says so or not."""
    found = []
    for number in range(draw(st.integers(1, 6))):
        owner = draw(st.sampled_from([OURS, OTHER, "wbs_3"]))
        said = draw(st.booleans())
        found.append((Entry(SECRETS[number], owner, f"sec_{number}") if said else Entry(SECRETS[number]), owner))
    return found


@given(files())
def test_whatever_the_file_says_what_is_not_proven_later_is_ours(file: list[tuple[Entry, str]]) -> None:
    """Where everything in force is in the file, what is found is all that is ours, or it is refused."""
    ours = [entry.secret.fingerprint for entry, owner in file if owner == OURS]
    in_force = [f"sec_{number}" for number, (_, owner) in enumerate(file) if owner == OURS]
    try:
        found = of_subscription([entry for entry, _ in file], OURS, in_force, ())
    except RefusedError:
        bare = [owner for entry, owner in file if entry.subscription_id is None]
        assert OURS in bare
        assert set(bare) != {OURS}  # else there is no doubt
    else:
        assert sorted(found.old) == sorted(ours)
        assert set(found.unsaid) == {e.secret.fingerprint for e, o in file if o == OURS and e.subscription_id is None}
