"""Log events and metrics are an API: a table each, to which the source keeps. A line holds what came from outside
without letting it forge another line; counting costs no lock; the snapshots of several processes add up.
"""

from __future__ import annotations

import ast
import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import kirimhook
from kirimhook.observe import ACK_BOUNDS, LOG_EVENTS, METRICS, Meter, Observer, merge
from tests.receiver.deliveries import Log

SOURCES = sorted(Path(kirimhook.__file__).parent.rglob("*.py"))


def calls() -> Iterator[tuple[str, ast.Call]]:
    """Every `….observer.event("name", …)` in our source, and every `Note("name", …)`, a worker's event to be."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and (_is_event(node.func) or _is_note(node.func)):
                yield f"{path.name}:{node.lineno}", node


def _is_event(called: ast.expr) -> bool:
    return (
        isinstance(called, ast.Attribute) and called.attr == "event" and ast.unparse(called.value).endswith("observer")
    )


def _is_note(called: ast.expr) -> bool:
    return isinstance(called, ast.Name) and called.id == "Note"


def test_every_event_that_is_logged_is_in_the_table_with_its_fields() -> None:
    logged = set()
    for place, call in calls():
        if ast.unparse(call.args[0]) == "note.event":
            continue
        assert isinstance(call.args[0], ast.Constant), place
        name = str(call.args[0].value)
        assert name in LOG_EVENTS, f"{place}: {name}"
        fields = {keyword.arg for keyword in call.keywords if keyword.arg} - {"error"}
        assert fields <= set(LOG_EVENTS[name].fields), f"{place}: {fields}"
        logged.add(name)
    assert set(LOG_EVENTS) - logged == set(), "in the table, but logged nowhere"


def test_every_metric_that_is_named_is_in_the_table_and_every_other_way_round() -> None:
    named = {
        node.value
        for path in SOURCES
        if path.name != "observe.py"
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in METRICS
    }
    assert named == set(METRICS)
    meter = Meter()
    with pytest.raises(KeyError):
        meter.counter("kirimhook_no_such_total")


@pytest.mark.parametrize("table", [LOG_EVENTS, METRICS])
def test_the_tables_say_what_each_thing_is(table: dict[str, object]) -> None:
    for name, entry in table.items():
        about = getattr(entry, "about", "")
        assert about.endswith("."), name
        assert about[0].isupper() or about[0] == "`", name


@given(st.text(), st.binary(max_size=20), st.integers())
def test_an_event_is_one_printable_line(text: str, raw: bytes, number: int) -> None:
    stream = io.StringIO()
    logger = logging.getLogger("tests.observe")
    logger.propagate = False
    logger.handlers = [logging.StreamHandler(stream)]
    Observer(logger).event("refused", reason=text, detail=raw, bytes=number)
    line = stream.getvalue()
    assert line.endswith("\n")
    assert line[:-1].isprintable()
    assert line.startswith("refused reason=")


def test_a_long_value_is_cut_in_the_line() -> None:
    log = Log()
    log.observer.event("refused", reason="x" * 10_000)
    assert len(log.text) < 600
    assert log.events[0]["reason"] == "x" * 10_000


def test_fields_are_data_and_what_is_none_is_left_out() -> None:
    log = Log()
    log.observer.event("refused", status=401, reason="stale", event_id=None)
    assert log.events == [{"event": "refused", "status": 401, "reason": "stale"}]
    assert log.text == "refused status=401 reason=stale"


def test_levels_are_the_tables_and_an_exception_is_an_error() -> None:
    log = Log()
    log.observer.event("acked")
    log.observer.event("refused")
    log.observer.event("acked", error=ValueError("boom"))
    assert [record.levelname for record in log.records] == ["DEBUG", "WARNING", "ERROR"]
    assert "ValueError: boom" in log.text


def test_an_event_below_the_level_costs_nothing_and_shows_nowhere() -> None:
    log = Log()
    logger = logging.getLogger("tests.quiet")
    logger.propagate = False
    logger.setLevel(logging.INFO)
    logger.handlers = [log]
    observer = Observer(logger)
    assert not observer.is_enabled(logging.DEBUG)
    observer.event("acked")
    assert log.records == []


def test_by_default_it_is_the_logger_of_the_package(caplog: pytest.LogCaptureFixture) -> None:
    Observer().event("refused", status=401)
    [record] = caplog.records
    assert (record.name, vars(record)["kirimhook"]["status"]) == ("kirimhook", 401)


def filled(requests: dict[str, int], seconds: list[float], connections: int) -> Meter:
    meter = Meter()
    for label, times in requests.items():
        meter.counter("kirimhook_requests_total")[label] += times
    for one in seconds:
        meter.histogram("kirimhook_ack_seconds").observe(one)
    meter.gauges["kirimhook_connections"] = connections
    return meter


COUNTS = st.dictionaries(st.sampled_from(["fresh", "stale", "queue_full"]), st.integers(0, 10**6))
SECONDS = st.lists(st.floats(0, 20))


@given(st.lists(st.tuples(COUNTS, SECONDS, st.integers(0, 100)), max_size=4))
def test_snapshots_are_json_and_add_up(processes: list[tuple[dict[str, int], list[float], int]]) -> None:
    total = merge(json.loads(json.dumps(filled(*one).snapshot())) for one in processes)
    for label in ("fresh", "stale", "queue_full"):
        expected = sum(requests.get(label, 0) for requests, _, _ in processes)
        assert total["counters"]["kirimhook_requests_total"].get(label, 0) == expected
    everything = [one for _, seconds, _ in processes for one in seconds]
    histogram = total["histograms"]["kirimhook_ack_seconds"]
    assert sum(histogram["counts"]) == len(everything)
    for index, bound in enumerate(ACK_BOUNDS):
        assert sum(histogram["counts"][: index + 1]) == len([one for one in everything if one <= bound])
    assert histogram["sum"] == pytest.approx(sum(everything))
    assert total["gauges"]["kirimhook_connections"] == sum(connections for _, _, connections in processes)


def test_a_snapshot_is_a_copy() -> None:
    meter = filled({"fresh": 1}, [0.1], 1)
    before = meter.snapshot()
    meter.counter("kirimhook_requests_total")["fresh"] += 1
    meter.histogram("kirimhook_ack_seconds").observe(1)
    assert before == filled({"fresh": 1}, [0.1], 1).snapshot()
