"""G1: a 2xx means that the event was committed to durable storage, by fsync, before the answer was written.

`kirimhook serve` runs under strace. For every 200 in the trace, the log of the database had been synced after the
last frame of the transaction that holds the event, and that sync had returned, before the answer was handed to the
kernel. With `synchronous=OFF` the same judge finds every single answer early.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

import psutil
import pytest

from kirimhook.contract.samples import Sample
from tests.crash import trace
from tests.crash.processes import Processes
from tests.crash.sender import Sender, contact, message
from tests.crash.trace import Call, Verdict

ALONE, TOGETHER, AGAIN = 15, 100, 10
LOG, CLIENT, OTHER = "inbox.db-wal", "TCP:[1->2]", "inbox.db"


def event(serial: int) -> Sample:
    """Of fixed width, so that no id holds another."""
    return (message if serial % 2 else contact)(f"synced-{serial:06d}", serial % 20)


async def send(url: str) -> None:
    """One after the other, then many at a time, then some of them again."""
    async with Sender(in_flight=16) as sender:
        for serial in range(ALONE):
            await sender.until_acked(url, event(serial))
        await sender.send(url, [event(serial) for serial in range(ALONE, ALONE + TOGETHER)])
        await sender.send(url, [event(serial) for serial in range(ALONE, ALONE + AGAIN)])
        assert sender.answers == {(200, "ok"): ALONE + TOGETHER, (200, "duplicate-ack"): AGAIN}


def traced(processes: Processes, *options: str, query: str = "") -> Verdict:
    """Serve under strace, send, and judge what was seen."""
    output = processes.folder / "trace"
    served = processes.serve(*options, query=query, wrapper=[*trace.COMMAND, "-o", str(output)])
    asyncio.run(send(served.started()["url"]))
    psutil.Process(served.pid).children()[0].terminate()  # strace itself lets no signal through
    assert served.wait() == 0
    return trace.judge(trace.read(output), f"{processes.database}-wal")


def expected() -> Counter[str]:
    ids = [event(serial).event_id for serial in range(ALONE + TOGETHER)]
    return Counter([*ids, *ids[ALONE : ALONE + AGAIN]])


@pytest.mark.needs("strace")
@pytest.mark.parametrize("workers", ["1", "2"])
def test_no_200_is_written_before_its_event_is_synced(
    workers: str, processes: Processes, say: Callable[[str], None]
) -> None:
    verdict = traced(processes, "--workers", workers)
    say(f"G1, --workers {workers}, traced: {len(verdict.acked)} answers of 200, {len(verdict.early)} before the sync")
    assert Counter(verdict.acked) == expected()
    assert verdict.early == []


@pytest.mark.needs("strace")
def test_without_syncs_every_200_is_found_early(processes: Processes, say: Callable[[str], None]) -> None:
    verdict = traced(processes, query="?synchronous=OFF")
    say(f"G1, synchronous=OFF, traced: {len(verdict.acked)} answers of 200, {len(verdict.early)} before the sync")
    assert Counter(verdict.early) == Counter(verdict.acked) == expected()


def call(at: int, name: str, file: str, data: bytes = b"", offset: int = 0, until: int = 0) -> Call:
    return Call(at, until or at, name, file, data, offset, len(data))


def frame(at: int, page: bytes, *, last: bool, index: int = 0) -> list[Call]:
    """Two writes, at two moments."""
    offset = trace.LOG_HEADER + index * (trace.FRAME_HEADER + trace.PAGE)
    header = bytes(4) + int(last).to_bytes(4, "big") + bytes(16)
    return [
        call(at, "pwrite64", LOG, header, offset),
        call(at + 1, "pwrite64", LOG, page.ljust(trace.PAGE, b"\0"), offset + trace.FRAME_HEADER),
    ]


ASKED = call(1, "read", CLIENT, b"POST / HTTP/1.1\r\nX-Kirim-Event-Id: evt_1\r\n\r\n")
STORED = frame(2, b"...evt_1...", last=True)
SYNCED = call(10, "fdatasync", LOG, until=11)
ACKED = call(20, "write", CLIENT, b"HTTP/1.1 200 OK\r\n\r\n")
GOOD = [ASKED, *STORED, SYNCED, ACKED]
BAD = {
    "no sync": [ASKED, *STORED, ACKED],
    "synced after the answer": [ASKED, *STORED, SYNCED._replace(began=21, ended=22), ACKED],
    "answered while it was being synced": [ASKED, *STORED, SYNCED._replace(ended=21), ACKED],
    "synced before it was written": [ASKED, *STORED, SYNCED._replace(began=2), ACKED],
    "synced before the last frame": [ASKED, *frame(2, b"evt_1", last=False), SYNCED, *frame(12, b"", last=True), ACKED],
    "the sync failed": [ASKED, *STORED, SYNCED._replace(result=-1), ACKED],
    "another file was synced": [ASKED, *STORED, SYNCED._replace(file=OTHER), ACKED],
    "another event was stored": [ASKED, *frame(2, b"evt_2", last=True), SYNCED, ACKED],
    "stored in another file": [ASKED, *(write._replace(file=OTHER) for write in STORED), SYNCED, ACKED],
}


def test_the_judge_accepts_a_good_order() -> None:
    assert trace.judge(GOOD, LOG) == (["evt_1"], [])


@pytest.mark.parametrize("name", BAD)
def test_the_judge_finds_a_bad_order(name: str) -> None:
    assert trace.judge(BAD[name], LOG) == (["evt_1"], ["evt_1"])
