"""A time can be written as ISO 8601, as unix seconds or as how long ago; anything else is refused, never guessed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kirimhook.cli.failure import Failure
from kirimhook.cli.moments import moment, span, stamp

NOW = 1_800_000_000.0
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("2h", NOW - 7200),
        ("30m", NOW - 1800),
        ("1.5d", NOW - 129_600),
        ("7d ago", NOW - 604_800),
        ("2w", NOW - 1_209_600),
        (" 45s ", NOW - 45),
        ("1779530400", 1_779_530_400),
        ("1779530400.25", 1_779_530_400.25),
        ("2026-05-23T10:00:00Z", 1_779_530_400),
        ("2026-05-23T17:00:00+07:00", 1_779_530_400),
        ("20260523T100000Z", 1_779_530_400),
    ],
)
def test_what_is_understood(written: str, seconds: float) -> None:
    assert moment(written, NOW) == seconds


NO_TIMES = ["", "yesterday", "2 h", "-2h", "2y", "h", "12", "2026-13-01", "1e9", "0x10", "9999-99-99"]


@pytest.mark.parametrize("written", NO_TIMES)
def test_what_is_not(written: str) -> None:
    with pytest.raises(Failure, match="is no time"):
        moment(written, NOW)


@given(st.text(max_size=30))
def test_any_text_is_a_time_or_one_failure(written: str) -> None:
    try:
        found = moment(written, NOW)
    except Failure:
        return
    assert isinstance(found, float)


zones = st.builds(lambda minutes: timezone(timedelta(minutes=minutes)), st.integers(-720, 720))


@given(st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=zones))  # noqa: DTZ001  # the zones come after
def test_iso_times_of_every_zone(at: datetime) -> None:
    assert moment(at.isoformat(), NOW) == at.timestamp()


@given(st.integers(0, 4_000_000_000_000))
def test_a_stamp_is_read_back(ms: int) -> None:
    written = stamp(ms)
    assert written is not None
    assert datetime.fromisoformat(written) == datetime.fromtimestamp(ms / 1000, UTC).replace(
        microsecond=ms % 1000 * 1000
    )
    assert moment(written, NOW) == pytest.approx(ms / 1000, abs=0.001)


def test_spans_are_short() -> None:
    assert [span(s) for s in (0, 42.4, 119, 120, 7199, 7200, 172_800)] == [
        "0 s", "42 s", "119 s", "2 min", "120 min", "2 h", "2 d"
    ]  # fmt: skip
