"""Which events a page means is all in its URL: what was chosen comes back from it as it was, and means one filter.

What makes no sense is said, beside the field that it stands in; it never becomes a filter that means more.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kirimhook.receiver.inbox import Filter
from kirimhook.receiver.model import FINISHED, EventState
from kirimhook.receiver.pages.chosen import FIELDS, TROUBLE, Chosen, NotUnderstood, chosen

NOW = 1_790_000_000.0
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40).map(str.strip)
PATTERNS = st.lists(st.from_regex(r"[a-z]{1,8}(\.[a-z]{1,8})?\*?", fullmatch=True), max_size=4).map(" ".join)
MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1))  # noqa: DTZ001  # hypothesis takes naive bounds
WRITTEN = st.one_of(st.just(""), st.from_regex(r"[1-9][0-9]{0,2}[smhdw]", fullmatch=True), MOMENTS.map(str))
CHOSEN = st.builds(Chosen, st.frozensets(st.sampled_from(EventState)), PATTERNS, TEXTS, WRITTEN, WRITTEN)


@given(CHOSEN)
def test_what_is_chosen_comes_back_from_its_url(which: Chosen) -> None:
    assert chosen(parse_qsl(which.query().removeprefix("?"))) == which
    assert parse_qsl(which.query(cursor=7).removeprefix("?"))[-1] == ("cursor", "7")


@given(CHOSEN)
def test_a_filter_means_what_was_written(which: Chosen) -> None:
    where = which.where(NOW)
    meant = which.states or (frozenset(EventState) if which.event_id else TROUBLE)
    assert (where.states or frozenset(EventState)) == meant
    assert set(where.types) == set(which.type.split())
    assert (where.event_id or "") == which.event_id
    assert (where.received_after is None) == (not which.received_after)
    assert which.can_be_put_back == (meant <= FINISHED)


@given(CHOSEN, st.floats(0, 10**6))
def test_a_put_back_does_not_move_with_the_clock(which: Chosen, later: float) -> None:
    fixed = which.fixed(NOW)
    assert fixed.where(NOW + later) == which.where(NOW)


@given(MOMENTS.map(lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000)))
def test_a_moment_without_a_zone_is_in_utc(moment: datetime) -> None:
    for written in (moment.isoformat(), f"{moment} UTC", f"{moment.isoformat()}Z"):
        found = Chosen(received_after=written).where(NOW).received_after
        assert found is not None
        assert datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=found) == moment.replace(tzinfo=UTC)


def test_a_moment_may_be_told_from_now() -> None:
    assert Chosen(received_after="2h").where(NOW).received_after == int((NOW - 7200) * 1000)
    assert Chosen(received_before="3 d ago").where(NOW).received_before == int((NOW - 3 * 86_400) * 1000)


def test_without_a_word_it_is_what_needs_somebody() -> None:
    assert chosen([]).where(NOW) == Filter(states=TROUBLE)
    assert chosen([("state", ""), ("type", " ")]).where(NOW) == Filter(states=TROUBLE)


@pytest.mark.parametrize(
    ("field", "pairs"),
    [
        ("state", [("state", "dead")]),
        ("type", [("type", "mess*age")]),
        ("type", [("type", " ".join(f"t{i}" for i in range(21)))]),
        ("type", [("type", "a"), ("type", "b")]),
        ("event_id", [("event_id", "x" * 513)]),
        ("received_after", [("received_after", "yesterday")]),
        ("received_before", [("received_before", "2026-13-01")]),
        ("received_before", [("received_before", "9" * 7 + "d")]),
    ],
)
def test_what_makes_no_sense_is_said_of_its_field(field: str, pairs: list[tuple[str, str]]) -> None:
    with pytest.raises(NotUnderstood) as said:
        chosen(pairs).where(NOW)
    assert said.value.field == field
    assert str(said.value).endswith((".", "*"))


@given(st.lists(st.tuples(st.sampled_from(FIELDS), st.text(max_size=30)), max_size=6))
def test_any_url_is_understood_or_said(pairs: list[tuple[str, str]]) -> None:
    found: Filter | str
    try:
        found = chosen(pairs).where(NOW)
    except NotUnderstood as error:
        found = error.field
    assert isinstance(found, Filter) or found in FIELDS
