"""How requests and processes end: neither a client that hangs up nor a SIGTERM loses what was taken (G1, G2).

A client that hangs up after its request, before the commit: the event is stored and completed all the same, and its
resend is a duplicate. One that hangs up in the middle of its body: nothing is stored. SIGTERM under load: every 200 is
stored, the exit code is 0, within the bound of the drain; what was not acknowledged is sent again and taken.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest

from kirimhook.contract.samples import Sample
from kirimhook.testing.requests import signed_request
from kirimhook.testing.served import Served
from tests.crash import ledger
from tests.crash.ledger import Ledger
from tests.crash.processes import Processes
from tests.crash.sender import Sender, contact, message
from tests.crash.waiting import soon, until

LINGER_NONE = struct.pack("ii", 1, 0)
HUNG_UP = 20
DRAIN = 5
MARGIN = 5
"""Seconds beyond the drain that a busy machine may take."""
EVENTS = 600


def raw_request(url: str, sample: Sample) -> bytes:
    parts = urlsplit(url)
    request = signed_request(sample)
    fields = {"Host": parts.netloc, "Content-Length": str(len(request.body)), **request.headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"POST {parts.path} HTTP/1.1\r\n{head}\r\n".encode() + request.body


def connected(url: str) -> socket.socket:
    parts = urlsplit(url)
    connection = socket.create_connection((parts.hostname, parts.port or 80), timeout=10)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NONE)  # hangs up with a reset
    return connection


def gauges(served: Served) -> dict[str, float]:
    with urllib.request.urlopen(f"{served.started()['admin_url']}/status", timeout=10) as response:
        found: dict[str, float] = json.load(response)["gauges"]
        return found


def answers(url: str, some: list[Sample]) -> Counter[tuple[int, str]]:
    async def play() -> Counter[tuple[int, str]]:
        async with Sender() as sender:
            await sender.send(url, some)
        return sender.answers

    return asyncio.run(play())


def test_a_client_that_hangs_up_before_the_commit_loses_nothing(processes: Processes) -> None:
    served = processes.serve(query="?commit_bound=60")
    url = served.started()["url"]
    some = [message(f"hung-up-{serial}", serial) for serial in range(HUNG_UP)]
    clients = [connected(url) for _ in some]
    with processes.nobody_writes():
        for client, sample in zip(clients, some, strict=True):
            client.sendall(raw_request(url, sample))
        until(lambda: gauges(served)["kirimhook_waiting_commits"] == HUNG_UP, "all requests wait for their commit")
        assert ledger.rows(processes.database, "SELECT count(*) FROM events") == [(0,)]
        for client in clients:
            client.close()
        until(lambda: gauges(served)["kirimhook_connections"] == 0, "the receiver sees that they are gone")

    done = "SELECT count(*) FROM finished WHERE state = 'done'"
    until(lambda: ledger.rows(processes.database, done) == [(HUNG_UP,)], "the completion of every event")
    assert answers(url, some) == {(200, "duplicate-ack"): HUNG_UP}
    assert served.terminate() == 0
    found = ledger.read(processes.database)
    assert found.done == found.effects == Counter(sample.event_id for sample in some)


def test_a_client_that_hangs_up_within_its_body_leaves_nothing(processes: Processes) -> None:
    served = processes.serve()
    url = served.started()["url"]
    some = [message(f"half-{serial}", serial) for serial in range(HUNG_UP)]
    clients = [connected(url) for _ in some]
    for client, sample in zip(clients, some, strict=True):
        client.sendall(raw_request(url, sample)[:-1])
    until(lambda: gauges(served)["kirimhook_connections"] == HUNG_UP, "all are connected")
    for client in clients:
        client.close()
    until(lambda: gauges(served)["kirimhook_connections"] == 0, "the receiver sees that they are gone")
    assert ledger.rows(processes.database, "SELECT count(*) FROM events") == [(0,)]
    assert answers(url, some) == {(200, "ok"): HUNG_UP}


class Stop(NamedTuple):
    """What a SIGTERM under load came to."""

    seconds: float
    acked: set[str]
    """Event ids that had been answered with 200 by then."""
    ledger: Ledger


async def terminate_under_load(sender: Sender, served: Served, database: Path, some: list[Sample]) -> Stop:
    sending = asyncio.create_task(sender.send(served.started()["url"], some))
    await sender.answered(len(some) // 3)
    began = time.monotonic()
    assert await asyncio.to_thread(served.terminate) == 0
    seconds = time.monotonic() - began
    assert not sending.done(), "it was not under load"
    sending.cancel()
    await asyncio.wait({sending})
    return Stop(seconds, sender.acked.copy(), await asyncio.to_thread(ledger.read, database))


@pytest.mark.parametrize("workers", ["1", "2"])
def test_sigterm_under_load_loses_nothing(workers: str, processes: Processes, say: Callable[[str], None]) -> None:
    options = ("--workers", workers, "--drain", str(DRAIN))
    some = [(message, contact)[serial % 2](f"drained-{serial}", serial % 40) for serial in range(EVENTS)]
    first = processes.serve(*options)

    async def play() -> tuple[Stop, Sender]:
        async with Sender() as sender:
            stop = await terminate_under_load(sender, first, processes.database, some)
            second = await asyncio.to_thread(processes.serve, *options)
            await sender.send(second.started()["url"], some)
            await soon(lambda: ledger.unfinished(processes.database) == 0, "the end of all work")
            assert await asyncio.to_thread(second.terminate) == 0
        return stop, sender

    stop, sender = asyncio.run(play())
    say(
        f"SIGTERM under load, --workers {workers}: it took {stop.seconds:.1f} s; {len(stop.acked)} events acked, "
        f"{len(stop.acked - stop.ledger.stored.keys())} of them not stored, {stop.ledger.unfinished} left to do"
    )
    assert stop.seconds < DRAIN + MARGIN
    assert 0 < len(stop.acked) < EVENTS
    assert stop.acked <= stop.ledger.stored.keys()
    assert sender.refused == {}
    found = ledger.read(processes.database)
    assert found.stored == found.done == Counter(sample.event_id for sample in some)
    assert found.effects == Counter(sample.event_id for sample in some if sample.source == "meta")
    assert found.integrity == stop.ledger.integrity == "ok"
