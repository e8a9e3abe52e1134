"""Times, counts and sizes read as people say them, and say no more than is true."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kirimhook.pages import moments

NOW = 1_800_000_000.0


def plain(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ").replace("\N{NARROW NO-BREAK SPACE}", " ")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "just now"), (0.9, "just now"), (1, "1 s ago"), (59.9, "59 s ago"), (60, "1 min ago"), (3599, "59 min ago"),
        (3600, "1 h ago"), (47.9 * 3600, "47 h ago"), (48 * 3600, "2 d ago"), (-5, "in 5 s"), (-7200, "in 2 h"),
    ],
)  # fmt: skip
def test_how_long_ago(seconds: float, words: str) -> None:
    assert moments.ago(NOW - seconds, NOW) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "–"), (0, "0 ms"), (0.0004, "0.4 ms"), (0.012, "12 ms"), (0.9999, "999 ms"), (1, "1 s"), (1.24, "1.2 s"),
        (59.99, "59.9 s"), (60, "1 min"), (200, "3 min 20 s"), (3599.9, "59 min 59 s"), (7500, "2 h 5 min"),
        (48 * 3600, "2 d"), (3 * 86400 + 4 * 3600, "3 d 4 h"), (-1.5, "-1.5 s"),
    ],
)  # fmt: skip
def test_how_long(seconds: float | None, words: str) -> None:
    assert plain(moments.duration(seconds)) == words
    assert moments.duration_ms(None if seconds is None else seconds * 1000) == moments.duration(seconds)


def test_counts_shares_and_sizes() -> None:
    assert [plain(moments.count(one)) for one in (None, 0, 999, 12345, 1_000_000)] == [
        "–", "0", "999", "12 345", "1 000 000",
    ]  # fmt: skip
    assert [plain(moments.percent(one)) for one in (None, 0, 0.57, 0.99999, 1)] == [
        "–", "0.00 %", "57.00 %", "99.99 %", "100 %",
    ]  # fmt: skip
    assert [plain(moments.size(one)) for one in (None, 0, 1023, 1536, 1024**2 - 1, 1024**2, 5 * 1024**4)] == [
        "–", "0 B", "1023 B", "1.5 KiB", "1.0 MiB", "1.0 MiB", "5.0 TiB",
    ]  # fmt: skip


@given(st.integers(0, 10**9), st.integers(1, 10**9))
def test_only_what_is_whole_says_so(good: int, bad: int) -> None:
    assert not moments.percent(good / (good + bad)).startswith("100") or good / (good + bad) == 1


@given(st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(2200, 1, 1)), st.integers(-14, 14))  # noqa: DTZ001  # hypothesis wants naive bounds
def test_a_moment_is_the_same_however_it_is_given(naive: datetime, hours: int) -> None:
    moment = naive.replace(tzinfo=timezone(timedelta(hours=hours)))
    assert moments.iso(moment) == moments.iso(moment.astimezone(UTC))
    assert datetime.fromisoformat(moments.iso(moment)) == moment.astimezone(UTC).replace(
        microsecond=moment.microsecond // 1000 * 1000
    )
    assert moments.exact(moment).endswith(" UTC")
    assert moments.from_ms(moment.timestamp() * 1000) - moment < timedelta(milliseconds=1)


def test_a_moment_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="without a zone"):
        moments.iso(datetime(2026, 1, 1))  # noqa: DTZ001  # that is what is tried


def test_an_id_is_cut_to_its_kind_and_its_end() -> None:
    assert moments.short("dlv_0123456789abcdef") == "dlv_…89abcdef"
    assert moments.short("evt_short") == "evt_short"
    assert moments.short("0123456789abcdef0123456789abcdef") == "0123…89abcdef"
