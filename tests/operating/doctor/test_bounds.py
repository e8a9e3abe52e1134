"""An examination ends: within its time, within its requests, whatever the other side sends or does not send; and
what it could not do it says, and counts as no success. The doctor survives every answer, proper or not."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kirimhook.operating.doctor.bounds import Bounds
from kirimhook.operating.doctor.checks.first import moment_of
from kirimhook.operating.doctor.checks.reaching import reached
from kirimhook.operating.doctor.examine import examine
from kirimhook.operating.doctor.finding import Verdict
from kirimhook.operating.doctor.place import Place
from kirimhook.operating.doctor.report import Report
from kirimhook.operating.doctor.table import CHECKS
from kirimhook.operating.doctor.visit import Order
from kirimhook.testing.endpoint import (
    Answer,
    Door,
    Drip,
    Endpoint,
    Flood,
    Hang,
    Hurl,
    Informed,
    Raw,
    Reset,
    Respond,
    Truncated,
)
from tests.operating.doctor.consumer import SECRETS, consuming
from tests.operating.doctor.faults import FORGED
from tests.operating.doctor.test_faults import complaints, examined, verdicts

QUICK = Bounds(attempt=1.0, patience=1.0)


def order_for(url: str, authorities: str | None = None, bounds: Bounds = QUICK) -> Order:
    return Order(Place.of(url), SECRETS, authorities, bounds=bounds)


async def examined_at(endpoint: Endpoint, bounds: Bounds = QUICK) -> Report:
    return await examine(order_for(endpoint.url, str(endpoint.ca), bounds), endpoint.url)


async def _answered_by(answer: Answer) -> Report:
    async with Endpoint(answer) as endpoint:
        return await examined_at(endpoint)


@pytest.mark.parametrize(
    "answer",
    [
        Hang(),
        Hang(b"HTTP/1.1 200 OK\r\n"),
        Drip(every=0.2),
        Hurl(size=200_000),
        Raw(b"\0\xff" * 50),
        Raw(b""),
        Reset(),
        Reset(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"),
        Truncated(),
        Informed(Hang(), times=500),
    ],
    ids=repr,
)
def test_what_is_no_answer_is_said_and_nothing_else_is_tried(answer: Answer) -> None:
    report = asyncio.run(_answered_by(answer))
    assert complaints(report) == {"answer"}
    assert report.counts[Verdict.NOT_RUN] > 20
    assert report.requests == 2  # one of them in clear
    assert not report.is_healthy


@pytest.mark.parametrize("answer", [Flood(3_000_000)], ids=repr)
def test_an_answer_that_is_huge_is_read_to_a_bound(answer: Answer) -> None:
    report = asyncio.run(_answered_by(answer))
    assert "answer_size" in complaints(report)
    assert report.seconds < 60


@settings(max_examples=40)
@given(
    st.one_of(
        st.binary(max_size=200),
        st.binary(max_size=100).map(lambda tail: b"HTTP/1.1 200 OK\r\n" + tail + b"\r\n\r\n"),
        st.binary(max_size=60).map(lambda value: b"HTTP/1.1 302 Found\r\nLocation: " + value + b"\r\n\r\n"),
    )
)
def test_any_bytes_in_place_of_an_answer_make_a_report(data: bytes) -> None:
    report = asyncio.run(_answered_by(Raw(data)))
    assert [row.check for row in report.examined] == list(CHECKS)
    assert all(row.finding.saw.isprintable() for row in report.examined)


@given(st.text(max_size=60))
def test_any_date_is_a_time_or_none(text: str) -> None:
    moment = moment_of(text)
    assert moment is None or isinstance(moment, float)


def test_when_the_time_is_over_the_rest_is_not_run() -> None:
    async def hung() -> Report:
        async with Endpoint(Hang()) as endpoint:
            return await examined_at(endpoint, replace(QUICK, attempt=30.0, whole=1.5))

    report = asyncio.run(hung())
    assert report.seconds < 10
    saw = {row.check.id: row.finding for row in report.examined}
    assert saw["answer"] == (Verdict.NOT_RUN, "1.5 s were over, the most that an examination takes")
    assert saw["raw_body"] == (Verdict.NOT_RUN, "it would say nothing: answer did not pass")
    assert not report.is_healthy


@pytest.mark.parametrize("most", [4, 20, 35])
def test_when_the_requests_are_spent_the_rest_is_not_run(most: int, tmp_path: Path) -> None:
    with consuming(tmp_path) as standing:
        report = examined(standing, replace(QUICK, attempt=10.0, requests=most))
    assert most - 15 < report.requests <= most
    assert complaints(report) == set()
    assert not report.is_healthy
    spent = [row for row in report.examined if "requests were sent" in row.finding.saw]
    assert {row.finding.verdict for row in spent} == {Verdict.NOT_RUN}


def test_a_whole_examination_keeps_to_what_is_promised(tmp_path: Path) -> None:
    with consuming(tmp_path) as standing:
        report = examined(standing)
    assert 50 <= report.requests <= 65
    assert len(report.events) == len(set(report.events)) <= 60


def test_an_address_that_nobody_listens_on_is_refused() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and never listens
        url = f"https://127.0.0.1:{taken.getsockname()[1]}/hook"
        report = asyncio.run(examine(order_for(url), url))
    assert complaints(report) == {"connect"}
    assert report.requests == 0


def test_a_connection_that_is_never_accepted_is_given_up() -> None:
    async def shut() -> Report:
        async with Endpoint(door=Door.SHUT) as endpoint:
            return await examined_at(endpoint)

    report = asyncio.run(shut())
    assert complaints(report) == {"connect"}


def test_a_name_without_an_address_and_one_with_addresses_of_both_kinds_are_told_apart() -> None:
    async def nowhere(_host: str, _port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async def half(_host: str, _port: int) -> list[str]:
        return ["93.184.215.14", "10.0.0.1"]

    for resolver, saw in ((nowhere, "has no address"), (half, "some are public, some private")):
        order = replace(order_for("https://hooks.example.com/x"), resolver=resolver)
        report = asyncio.run(examine(order, "https://hooks.example.com/x"))
        assert complaints(report) == {"dns"}
        assert saw in report.examined[1].finding.saw
        assert verdicts(report)["answer"] is Verdict.NOT_RUN


def test_an_address_that_does_not_accept_beside_one_that_does_is_a_warning() -> None:
    refused = {"203.0.113.7": "connection refused"}
    assert reached(2, "203.0.113.8", refused) == (
        Verdict.WARNED,
        "203.0.113.8 accepts; 203.0.113.7: connection refused",
    )
    assert reached(2, "", refused).verdict is Verdict.FAILED
    assert reached(2, "127.0.0.1", {"::1": "connection refused"}).verdict is Verdict.PASSED  # localhost of one family


def test_one_that_accepts_everything_and_has_no_date_is_seen_through() -> None:
    async def anything() -> Report:
        async with Endpoint(Respond()) as endpoint:
            return await examined_at(endpoint)

    report = asyncio.run(anything())
    assert complaints(report) >= FORGED
    assert verdicts(report)["clock"] is Verdict.LEFT_OUT


@pytest.mark.parametrize(
    "page", [b"{}", b"[]", b"no JSON", b'{"problems":1}', b'{"processes":[{}],"silent_processes":1}']
)
def test_an_admin_port_of_something_else_is_said_to_be_one(page: bytes, tmp_path: Path) -> None:
    async def asked(url: str, ca: Path) -> Report:
        async with Endpoint(Respond(body=page)) as other:
            trusted = tmp_path / "both.pem"
            trusted.write_bytes(ca.read_bytes() + other.ca.read_bytes())
            admin = Place.of(other.url_of("localhost", "/"))
            return await examine(replace(order_for(url, str(trusted), Bounds()), admins=(admin,)), url)

    with consuming(tmp_path) as standing:
        report = asyncio.run(asked(standing.url, standing.ca))
    assert {check for check, verdict in verdicts(report).items() if verdict is Verdict.NOT_RUN} == {"ready", "loaded"}
    assert not report.is_healthy


def test_a_web_server_that_speaks_no_tls_is_told_by_what_it_says() -> None:
    async def plain() -> Report:
        async with Endpoint(door=Door.PLAIN) as endpoint:
            return await examined_at(endpoint)

    report = asyncio.run(plain())
    assert complaints(report) == {"tls"}
    assert "wrong version number" in report.examined[3].finding.saw
