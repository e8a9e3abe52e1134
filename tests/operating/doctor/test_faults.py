"""Each fault of a deliberately bad consumer, over TLS, is found by the checks that are about it, and no other check
complains; a consumer without faults is healthy."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
import trustme

from kirimhook.operating.doctor.bounds import Bounds
from kirimhook.operating.doctor.examine import examine
from kirimhook.operating.doctor.finding import Verdict
from kirimhook.operating.doctor.place import Place
from kirimhook.operating.doctor.report import Report
from kirimhook.operating.doctor.table import CHECKS
from kirimhook.operating.doctor.visit import Order
from tests.operating.doctor.consumer import SECRETS, Consumer, Standing, consuming, served_by
from tests.operating.doctor.door import Asked, Reply
from tests.operating.doctor.faults import COMPLAINTS, ONLY_WARNED, Fault

BOUNDS = Bounds(slow=1.0, patience=2.0)
SHORT = Bounds(attempt=1.0)
"""For one that never answers."""


def examined(standing: Standing, bounds: Bounds = BOUNDS, *, probe_events: bool = True) -> Report:
    order = Order(Place.of(standing.url), SECRETS, str(standing.ca), probe_events=probe_events, bounds=bounds)
    return asyncio.run(examine(order, standing.url))


def complaints(report: Report) -> set[str]:
    return {row.check.id for row in report.examined if row.is_complaint}


def verdicts(report: Report) -> dict[str, Verdict]:
    return {row.check.id: row.finding.verdict for row in report.examined}


def test_a_consumer_without_faults_is_healthy(tmp_path: Path) -> None:
    with consuming(tmp_path) as standing:
        report = examined(standing)
    not_passed = {row.check.id: row.finding for row in report.examined if row.finding.verdict is not Verdict.PASSED}
    assert set(not_passed) == {"ready", "loaded"}  # no --admin
    assert report.is_healthy


@pytest.mark.parametrize("fault", Fault)
def test_a_fault_is_found_by_its_checks_and_no_other(fault: Fault, tmp_path: Path) -> None:
    with consuming(tmp_path, fault) as standing:
        report = examined(standing, SHORT if fault in {Fault.HANGS, Fault.SILENT} else BOUNDS)
    seen = {row.check.id: row.finding for row in report.examined}
    assert complaints(report) == COMPLAINTS[fault], seen
    found = {seen[check].verdict for check in COMPLAINTS[fault]}
    assert (Verdict.FAILED not in found) == report.is_healthy == (fault in ONLY_WARNED), seen


def test_every_check_of_a_consumer_has_a_fault_that_it_finds() -> None:
    of_the_url = {"https", "dns", "connect"}
    of_our_receivers = {"ready", "loaded"}
    assert set().union(*COMPLAINTS.values()) == {check.id for check in CHECKS} - of_the_url - of_our_receivers
    assert set(COMPLAINTS) == set(Fault)


def test_a_refusal_is_explained_by_the_clock_where_that_is_off(tmp_path: Path) -> None:
    saw = {}
    for fault in (Fault.OTHER_TIME, Fault.OTHER_SECRET):
        with consuming(tmp_path, fault) as standing:
            report = examined(standing)
        saw[fault] = next(row.finding.saw for row in report.examined if row.check.id == "good")
    assert re.search(r"its clock is \+(899|900|901) s from this machine's", saw[Fault.OTHER_TIME])
    assert "another secret" in saw[Fault.OTHER_SECRET]


def test_plain_http_that_is_turned_away_is_no_fault(tmp_path: Path) -> None:
    consumer = Consumer()

    async def answer(asked: Asked) -> Reply:
        return await consumer.answer(asked) if asked.is_tls else Reply(400, b"this port speaks TLS", says_close=True)

    with served_by(tmp_path, answer, trustme.CA(), frozenset({Fault.PLAIN_TOO})) as standing:
        report = examined(standing)
    saw = {row.check.id: row.finding.saw for row in report.examined}
    assert complaints(report) == set()
    assert saw["plain_http"].endswith("is answered 400")


@pytest.mark.parametrize(("serial", "check"), [(2, "tls"), (3, "chain"), (5, "name"), (8, "answer"), (10, "latency")])
def test_one_that_breaks_down_meanwhile_is_seen_where_it_does(serial: int, check: str, tmp_path: Path) -> None:
    with served_by(tmp_path, Consumer().answer, trustme.CA(), breaks_from=serial) as standing:
        report = examined(standing)
    first = next(row for row in report.examined if row.is_complaint)
    assert (first.check.id, first.finding.verdict) == (check, Verdict.FAILED)
    assert re.search("closed|reset", first.finding.saw)  # by when the end of it comes
    assert not report.is_healthy
