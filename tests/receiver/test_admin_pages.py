"""The admin port answers four paths, to GET and HEAD; readiness is 503 with every reason, each by its code.

What it shows of several processes is their sum, read by an independent Prometheus parser.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from kirimhook.observe import METRICS
from kirimhook.receiver.admin.app import AdminApp
from kirimhook.receiver.admin.report import Fleet
from tests.receiver.fleets import NOW, call, fleet, report

PATHS = ["/healthz", "/readyz", "/metrics", "/status"]


def samples(asked: Fleet) -> dict[str, dict[tuple[str, ...], float]]:
    """By name, then by the values of the labels."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(call(asked, "/metrics").body.decode()):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


def codes(asked: Fleet) -> list[str]:
    reply = call(asked, "/readyz")
    found = json.loads(reply.body)
    assert (reply.status == 200) == found["ready"] == (found["problems"] == [])
    assert reply.status in {200, 503}
    return [problem["code"] for problem in found["problems"]]


@pytest.mark.parametrize("path", PATHS)
def test_get_and_head_say_the_same_but_for_the_body(path: str) -> None:
    got, head = call(fleet(report()), path), call(fleet(report()), path, "HEAD")
    assert got.status == head.status == 200
    assert got.headers == head.headers
    assert int(got.headers[b"content-length"]) == len(got.body) > 0
    assert head.body == b""


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", PATHS)
def test_other_methods_are_405_with_allow(path: str, method: str) -> None:
    reply = call(fleet(report()), path, method)
    assert (reply.status, reply.headers[b"allow"]) == (405, b"GET, HEAD")


@pytest.mark.parametrize("path", ["/", "", "/healthz/", "/metrics/x", "/kirim-webhook", "//status"])
def test_other_paths_are_404(path: str) -> None:
    assert call(fleet(report()), path).status == 404


def test_health_asks_nobody() -> None:
    async def fail() -> Any:
        raise AssertionError("asked")

    async def ask() -> list[Any]:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        await AdminApp(fail, "1")({"type": "http", "path": "/healthz", "method": "GET", "headers": []}, fail, send)
        return sent

    assert asyncio.run(ask())[0]["status"] == 200


def test_what_is_not_http_is_an_error() -> None:
    async def never(*_: object) -> Any:
        raise AssertionError("used")

    with pytest.raises(ValueError, match="websocket"):
        asyncio.run(AdminApp(never, "1")({"type": "websocket"}, never, never))


def test_a_healthy_fleet_is_ready() -> None:
    assert codes(fleet(report(1), report(2))) == []


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"storage_problem": "disk_full: a commit failed 3 s ago"}, "storage"),
        ({"secrets": (), "secrets_problem": "it holds no secret"}, "no_secrets"),
        ({"clock_offset": 400.0}, "clock"),
        ({"clock_offset": -400.0}, "clock"),
        ({"worker_failed": True}, "worker"),
    ],
)
def test_one_process_that_is_not_well_is_enough(changed: dict[str, Any], code: str) -> None:
    assert codes(fleet(report(1), report(2, **changed))) == [code]
    assert codes(fleet(report(1, **changed), report(2, **changed))) == [code]


def test_the_reason_says_which_way_the_clock_is_off() -> None:
    ahead, behind = (call(fleet(report(clock_offset=offset)), "/readyz").body for offset in (400.0, -400.0))
    assert b"400 s ahead of" in ahead
    assert b"400 s behind" in behind


def test_a_process_that_only_works_needs_no_secret() -> None:
    assert codes(fleet(report(receives=False, secrets=()))) == []


def test_several_reasons_are_all_given() -> None:
    asked = fleet(report(storage_problem="locked", worker_failed=True), stopping=True)
    assert codes(asked) == ["stopping", "storage", "worker"]


def test_no_process_that_answers_is_not_ready() -> None:
    assert codes(fleet()) == ["no_process"]
    assert codes(fleet(report(1), report(2), silent=2)) == ["no_process"]
    assert codes(fleet(report(1), report(2), silent=1)) == []


def test_metrics_add_up_over_processes() -> None:
    found = samples(fleet(report(1, acks=3, refusals=1), report(2, acks=4)))
    assert found["kirimhook_requests_total"] == {("fresh",): 7, ("no_match",): 1}
    assert found["kirimhook_ack_seconds_count"] == {(): 7}
    assert found["kirimhook_ack_seconds_bucket"][("0.002",)] == 0
    assert found["kirimhook_ack_seconds_bucket"][("0.005",)] == 7
    assert found["kirimhook_ack_seconds_bucket"][("+Inf",)] == 7
    assert found["kirimhook_ack_seconds_sum"][()] == pytest.approx(0.021)
    assert found["kirimhook_connections"] == {(): 10}
    assert found["kirimhook_secret_matches_total"] == {("aaaaaaaaaaaa",): 7}
    assert found["process_resident_memory_bytes"] == {(): 100_000_000}
    assert found["process_cpu_seconds_total"] == {(): 3}


def test_the_inbox_is_shared_so_it_is_not_added_up() -> None:
    found = samples(fleet(report(1), report(2)))
    assert found["kirimhook_inbox_events"] == {
        ("waiting",): 3,
        ("running",): 1,
        ("done",): 40,
        ("parked",): 2,
        ("unhandled",): 0,
        ("skipped",): 0,
    }
    assert found["kirimhook_inbox_oldest_waiting_seconds"] == {(): pytest.approx(30, abs=0.01)}
    assert found["kirimhook_inbox_paused"] == {(): 0}


def test_an_inbox_that_cannot_be_asked_is_absent_not_empty() -> None:
    assert "kirimhook_inbox_events" not in samples(fleet(report(inbox=None)))
    assert samples(fleet(report(1, inbox=None), report(2)))["kirimhook_inbox_paused"] == {(): 0}


def test_every_metric_of_a_receiver_is_there_with_its_description() -> None:
    page = call(fleet(report()), "/metrics").body.decode()
    for name, metric in METRICS.items():
        assert (f"# HELP {name} {metric.about}\n" in page) == (not name.startswith("kirimhook_sender_"))


def test_openmetrics_for_who_asks_for_it() -> None:
    reply = call(fleet(report(acks=1)), "/metrics", accept=b"application/openmetrics-text; version=1.0.0")
    assert reply.headers[b"content-type"].startswith(b"application/openmetrics-text")
    assert reply.body.endswith(b"# EOF\n")
    assert call(fleet(report()), "/metrics").headers[b"content-type"].startswith(b"text/plain")


def test_counters_of_a_process_that_ended_stay_and_its_gauges_go() -> None:
    ended = fleet(report(1)).ended.plus_ended(report(2, acks=5))
    found = samples(fleet(report(1, acks=1), ended=ended, restarts=1))
    assert found["kirimhook_requests_total"][("fresh",)] == 6
    assert found["kirimhook_ack_seconds_count"] == {(): 6}
    assert found["kirimhook_secret_matches_total"] == {("aaaaaaaaaaaa",): 6}
    assert found["kirimhook_connections"] == {(): 5}
    assert found["kirimhook_process_restarts_total"] == {(): 1}
    assert found["process_cpu_seconds_total"] == {(): 3}


def test_a_secret_that_is_no_longer_active_is_not_shown() -> None:
    ended = fleet().ended.plus_ended(report(2, acks=5))
    rotated = replace(report(1).secrets[0], fingerprint="bbbbbbbbbbbb", last_matched_at=None, matches=0)
    asked = fleet(report(1, secrets=(rotated,)), ended=ended)
    assert [use["fingerprint"] for use in json.loads(call(asked, "/status").body)["secrets"]] == ["bbbbbbbbbbbb"]
    assert samples(asked)["kirimhook_secret_matches_total"] == {("bbbbbbbbbbbb",): 0}
    assert "kirimhook_secret_last_matched_timestamp_seconds" not in samples(asked)


def test_status_tells_all_of_it() -> None:
    asked = fleet(report(7, acks=2), report(8, clock_offset=-301.0), restarts=3, silent=1)
    status = json.loads(call(asked, "/status").body)
    assert status["version"] == "1.2.3"
    assert status["ready"] is False
    assert [problem["code"] for problem in status["problems"]] == ["clock"]
    assert status["uptime_seconds"] == 100
    assert status["inbox"]["states"]["parked"] == 2
    assert status["inbox"]["oldest_waiting_seconds"] == pytest.approx(30, abs=0.01)
    assert status["secrets"] == [{"fingerprint": "aaaaaaaaaaaa", "last_matched_at": NOW - 1, "matches": 2}]
    assert status["counters"]["kirimhook_requests_total"]["fresh"] == 2
    assert status["clock_offset_seconds"] == -301
    assert [process["pid"] for process in status["processes"]] == [7, 8]
    assert (status["restarts"], status["silent_processes"], status["expected_processes"]) == (3, 1, 2)


def test_status_without_an_inbox() -> None:
    assert json.loads(call(fleet(report(inbox=None)), "/status").body)["inbox"] is None
