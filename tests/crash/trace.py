"""Reading what strace saw of a receiver, and judging it: was every 200 written after its event was on the disk?

The model is SQLite's write-ahead log: a file of frames, each a header of 24 bytes and a page; the header of the
last frame of a transaction bears the size of the database, all others bear 0. A transaction is on the disk when
an fdatasync of the log has returned that began after the last of its frames was written.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

READS = ("read", "recvfrom", "recvmsg")
WRITES = ("write", "writev", "sendto", "sendmsg")
SYNCS = ("fdatasync", "fsync")
COMMAND = (
    *("strace", "-f", "--seccomp-bpf", "-qq", "-yy", "-xx", "-s", "8192", "-e", "signal=none"),
    *("-e", f"trace=pwrite64,pwritev,pwritev2,{','.join((*READS, *WRITES, *SYNCS))}"),
)
LOG_HEADER, FRAME_HEADER, PAGE = 32, 24, 4096

LINE = re.compile(r"(?P<pid>\d+) +(?:<\.\.\. \w+ resumed>(?P<rest>.*)|(?P<name>\w+)\((?P<arguments>.*))", re.DOTALL)
UNFINISHED = re.compile(r" ?<unfinished \.\.\.>$")
FILE = re.compile(r"-?\d+<(?P<label>TCP:\[[^\]]*\]|(?:\\x[0-9a-f]{2})+|[^>]*)")
QUOTED = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
RESULT = re.compile(r"(?:, (?P<offset>\d+))?\) += (?P<result>-?\d+)")
EVENT_ID = re.compile(rb"x-kirim-event-id: *([^\r]+)\r\n", re.IGNORECASE)


class Call(NamedTuple):
    """One system call. `began` and `ended` are places in the order of all that the tracer saw."""

    began: int
    ended: int
    name: str
    file: str
    """A path, or both ends of a connection."""
    data: bytes
    offset: int
    """Of a pwrite."""
    result: int


class Commit(NamedTuple):
    """One transaction in the log."""

    written: int
    """When its last frame was."""
    pages: bytes


class Verdict(NamedTuple):
    acked: list[str]
    """Event ids, one for every 200."""
    early: list[str]
    """Those of a 200 that was written before its event was on the disk."""


class UnknownShape(Exception):
    """The trace is not what this model knows: it must not be taken for a good one."""


def read(path: Path) -> Iterator[Call]:
    """The calls of a trace, in the order in which they ended."""
    begun: dict[str, tuple[int, str, str]] = {}
    with path.open(encoding="ascii") as lines:
        for place, line in enumerate(lines):
            match = LINE.match(line.rstrip("\n"))
            if match is None:
                continue
            if match["name"]:
                began, name, text = place, match["name"], match["arguments"]
            else:
                began, name, text = begun.pop(match["pid"])
                text += match["rest"]
            if UNFINISHED.search(text):
                begun[match["pid"]] = (began, name, UNFINISHED.sub("", text))
            elif call := _call(began, place, name, text):
                yield call


def _call(began: int, ended: int, name: str, text: str) -> Call | None:
    file, result = FILE.match(text), RESULT.search(text, text.rfind(") ="))
    if file is None or result is None:
        return None
    end = RESULT.search(text)
    offset = int(end["offset"] or 0) if end and name == "pwrite64" else 0
    data = b"".join(_bytes(quoted) for quoted in QUOTED.findall(text))
    return Call(began, ended, name, _label(file["label"]), data, offset, int(result["result"]))


def _label(text: str) -> str:
    return _bytes(text).decode() if text.startswith("\\x") else text


def _bytes(quoted: str) -> bytes:
    return bytes.fromhex(quoted.replace("\\x", ""))


def judge(calls: Iterable[Call], log: str) -> Verdict:
    """`log` is the path of the write-ahead log. Raises UnknownShape."""
    calls = list(calls)
    commits = list(_commits(call for call in calls if call.file == log and call.name.startswith("pwrite")))
    syncs = [call for call in calls if call.file == log and call.name in SYNCS and call.result == 0]
    acks = list(_acks(calls))
    early = [event_id for event_id, at in acks if not _on_disk(event_id, at, commits, syncs)]
    return Verdict([event_id for event_id, _ in acks], early)


def _on_disk(event_id: str, at: int, commits: list[Commit], syncs: list[Call]) -> bool:
    mark = event_id.encode()
    holding = next((commit for commit in commits if mark in commit.pages), None)
    return holding is not None and any(sync.began > holding.written and sync.ended < at for sync in syncs)


def _commits(writes: Iterable[Call]) -> Iterator[Commit]:
    pages: list[bytes] = []
    last = False
    for write in sorted(writes, key=lambda call: call.began):
        place = (write.offset - LOG_HEADER) % (FRAME_HEADER + PAGE)
        if write.name != "pwrite64" or write.result != len(write.data):
            raise UnknownShape(f"{write.name} of {len(write.data)} bytes gave {write.result}")
        if write.offset == 0 and len(write.data) == LOG_HEADER:
            continue
        if place == 0 and len(write.data) == FRAME_HEADER:
            last = write.data[4:8] != bytes(4)
        elif place == FRAME_HEADER and len(write.data) == PAGE:
            pages.append(write.data)
            if last:
                yield Commit(write.ended, b"".join(pages))
                pages = []
        else:
            raise UnknownShape(f"{len(write.data)} bytes at {write.offset} are no part of a frame")


def _acks(calls: Iterable[Call]) -> Iterator[tuple[str, int]]:
    """Event id and moment of every 200: the moment is that before its write was begun."""
    asked: defaultdict[str, bytes] = defaultdict(bytes)
    for call in sorted((call for call in calls if call.file.startswith("TCP:")), key=lambda call: call.began):
        if call.name in READS:
            asked[call.file] += call.data
        elif call.data.startswith(b"HTTP/1.1 200 "):
            found = EVENT_ID.search(asked.pop(call.file, b""))
            if found is None:
                raise UnknownShape("a 200 without a request that names an event")
            yield found[1].decode(), call.began
        else:
            asked.pop(call.file, None)
