"""A summary counts everything, once; it is bounded whatever happened; and it is the same in whatever order and portions
things were merged, but for which examples it keeps.
"""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kirimhook.telling import Kind, Notice, digest, document, merged
from kirimhook.telling.summary import MOST_CHARACTERS, MOST_EXAMPLES, MOST_NOTICES, cut

MOMENT = st.integers(0, 4_000_000_000_000)
NAMES = st.sampled_from([None, "wbs_1", "wbs_2"])
REASON = st.one_of(st.sampled_from(["rejected", "gone", "a" * 400, "a" * 401]), st.text(max_size=40))


@st.composite
def notice(draw: st.DrawFn) -> Notice:
    first, last = sorted([draw(MOMENT), draw(MOMENT)])
    count = draw(st.integers(1, 10**9))
    examples = draw(st.lists(st.sampled_from("abcdefgh"), max_size=min(count, 12)))
    kind, detail = draw(st.sampled_from(list(Kind))), draw(st.none() | st.text())
    return Notice(kind, draw(REASON), first, last, draw(NAMES), draw(NAMES), count, tuple(examples), detail)


SOME = st.lists(notice(), max_size=60)


def totals(notices: list[Notice]) -> dict[Any, Any]:
    return {one.group: (one.count, one.first_at, one.last_at) for one in notices}


@given(SOME)
def test_merging_counts_everything_once_by_group(notices: list[Notice]) -> None:
    groups: Counter[tuple[str, ...]] = Counter()
    for one in notices:
        groups[one.group] += one.count
    made = merged(notices)
    assert {one.group: one.count for one in made} == groups
    for one in made:
        mine = [each for each in notices if each.group == one.group]
        assert one.first_at == min(each.first_at for each in mine)
        assert one.last_at == max(each.last_at for each in mine)
        assert set(one.examples) <= {example for each in mine for example in each.examples}
        assert len(set(one.examples)) == len(one.examples) <= MOST_EXAMPLES
        assert len(one.reason) <= MOST_CHARACTERS
        assert len(one.detail or "") <= MOST_CHARACTERS


@given(SOME, st.integers(0, 60), st.randoms())
def test_the_order_and_the_portions_do_not_matter(notices: list[Notice], at: int, random: Any) -> None:
    whole = totals(merged(notices))
    assert totals(merged([*merged(notices[:at]), *merged(notices[at:])])) == whole
    random.shuffle(notices)
    assert totals(merged(notices)) == whole
    assert merged(merged(notices)) == merged(notices)


@given(SOME, st.floats(0, 4e9))
def test_a_document_is_bounded_and_adds_up(notices: list[Notice], at: float) -> None:
    told = document("sender", notices, at, ["a"])
    shown = told["notices"]
    assert told["count"] == sum(one.count for one in notices) == told["others"] + sum(one["count"] for one in shown)
    assert len(shown) == min(len({one.group for one in notices}), MOST_NOTICES)
    assert [one["count"] for one in shown] == sorted([one["count"] for one in shown], reverse=True)
    assert json.loads(json.dumps(told)) == told
    assert len(json.dumps(told)) < 256 * 1024
    assert (told["version"], told["source"]) == (1, "sender")
    assert "\n" not in told["text"]
    for moment in [told["told_at"], *[one[key] for one in shown for key in ("first_at", "last_at")]]:
        assert moment.endswith("Z")
        assert datetime.fromisoformat(moment).tzinfo is not None


@given(SOME, st.lists(st.text(), max_size=5), st.randoms())
def test_the_same_things_make_the_same_id(notices: list[Notice], names: list[str], random: Any) -> None:
    shuffled = [*names, *names]
    random.shuffle(shuffled)
    assert document("sender", notices, 1.0, names)["id"] == document("sender", [], 2.0, shuffled)["id"]
    assert digest([*names, "another"]) != digest(names) or "another" in names


def test_the_text_names_the_largest_first() -> None:
    notices = [
        Notice(Kind.DEAD_LETTERS, "rejected", 1, 2, "wbs_1", count=3),
        Notice(Kind.SUBSCRIPTION_DISABLED, "gone", 1, 2, "wbs_2"),
        Notice(Kind.DEAD_LETTERS, "rejected", 2, 3, "wbs_1", count=40),
    ]
    told = document("sender", notices, 3.0, [])
    assert told["text"] == "43 dead letters (wbs_1): rejected; 1 subscription disabled (wbs_2): gone"
    assert told["told_at"] == "1970-01-01T00:00:03.000Z"
    many = [Notice(Kind.PARKED_EVENTS, f"reason {n}", 1, 2, count=n + 1) for n in range(7)]
    assert document("receiver", many, 3.0, [])["text"].endswith("3 events parked: reason 2; and 3 more")


def test_cut() -> None:
    assert cut(" a\n b\tc ") == "a b c"
    assert cut("a" * 300) == "a" * 300
    assert cut("a" * 301) == "a" * 299 + "…"
