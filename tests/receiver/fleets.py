"""What the tests of the admin port share: reports and fleets made by hand, and the port called as ASGI does."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, NamedTuple

from kirimhook.observe import Meter
from kirimhook.receiver.admin.app import AdminApp
from kirimhook.receiver.admin.report import Fleet, InboxReport, ProcessReport, SecretUse, Usage

STARTED = 1_800_000_000.0
NOW = STARTED + 100
STATES = {"waiting": 3, "running": 1, "done": 40, "parked": 2, "unhandled": 0, "skipped": 0}


def report(pid: int = 1, *, acks: int = 0, refusals: int = 0, **changed: Any) -> ProcessReport:
    """A process that is well: it receives and works, holds one secret, and its clock is right."""
    meter = Meter()
    meter.counter("kirimhook_requests_total")["fresh"] += acks
    meter.counter("kirimhook_requests_total")["no_match"] += refusals
    for _ in range(acks):
        meter.histogram("kirimhook_ack_seconds").observe(0.003)
    meter.gauges["kirimhook_connections"] = 5
    well = ProcessReport(
        pid=pid,
        started_at=STARTED,
        receives=True,
        works=True,
        worker_failed=False,
        storage_problem=None,
        inbox=InboxReport(STATES, False, int((NOW - 30) * 1000), 4096),
        secrets=(SecretUse("aaaaaaaaaaaa", NOW - 1, acks),),
        secrets_problem=None,
        clock_offset=None,
        usage=Usage(1.5, 50_000_000, 20),
        snapshot=meter.snapshot(),
    )
    return replace(well, **changed)


def fleet(*reports: ProcessReport, **more: Any) -> Fleet:
    return Fleet(STARTED, NOW, len(reports), reports, **more)


class Reply(NamedTuple):
    status: int
    headers: dict[bytes, bytes]
    body: bytes


def call(asked: Fleet, path: str, method: str = "GET", accept: bytes | None = None) -> Reply:
    """What the admin port answers about this fleet."""

    async def give() -> Fleet:
        return asked

    async def receive() -> Any:
        raise AssertionError("the admin port reads no body")

    async def ask() -> Reply:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        headers = [] if accept is None else [(b"accept", accept)]
        scope = {"type": "http", "path": path, "method": method, "headers": headers}
        await AdminApp(give, "1.2.3")(scope, receive, send)
        return Reply(sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"])

    return asyncio.run(ask())
