"""The deliveries to replay, on disk, and how far a run has come with them.

A file of JSON lines, its owner's only: what it is, an id a line, and a record before each request. It is complete
before its name is there. A record says what came of all before it, and how many the next request takes: after an
interruption the same request is made again, under the same Idempotency-Key. A record cut off by a crash never was.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self

from kirimhook.operating.files import remove, state_folder, write_atomically
from kirimhook.operating.replaying.tally import Tally

VERSION = 1
Failing = Literal["dead", "failed"]


class SnapshotError(Exception):
    """A file that is no snapshot, or of a version that is not known. One line."""


class Next(NamedTuple):
    """The request that was about to be made: how many it takes, how, and when that was recorded (unix seconds)."""

    size: int
    by_ids: bool
    at: float


@dataclass(frozen=True, slots=True)
class Header:
    """What a snapshot is of. `about` is for people."""

    name: str
    """Random: Idempotency-Keys are made of it."""
    subscription_id: str
    status: Failing
    unreplayed: bool
    """Only those that nobody has replayed by then."""
    about: dict[str, Any]
    total: int
    version: int = VERSION


def place(subscription_id: str, purpose: str = "bulk") -> Path:
    """Where the snapshot of a subscription is kept; one for each purpose. Raises OSError."""
    return state_folder() / f"replay-{purpose}-{subscription_id}.jsonl"


class Snapshot:
    """Used by one process at a time. All raise OSError."""

    def __init__(self, path: Path, header: Header, ids: Sequence[str], tally: Tally, following: Next | None) -> None:
        self.path = path
        self.header = header
        self.ids = ids
        """In the order in which they are replayed."""
        self.tally = tally
        self.next = following
        """The request that was under way when the last run ended, unless it had not begun any."""
        self.is_resumed = False
        """Whether an earlier run made it."""
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)

    @classmethod
    def create(
        cls,
        path: Path,
        ids: Sequence[str],
        *,
        subscription_id: str,
        status: Failing = "dead",
        unreplayed: bool = True,
        about: Mapping[str, Any] | None = None,
    ) -> Self:
        """In place of the one that is there."""
        header = Header(secrets.token_hex(12), subscription_id, status, unreplayed, dict(about or {}), len(ids))
        lines = [asdict(header), *ids]
        write_atomically(path, b"".join([_line(one) for one in lines]))
        return cls(path, header, list(ids), Tally(), None)

    @classmethod
    def find(cls, path: Path) -> Self | None:
        """The one that is there. Raises SnapshotError."""
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        whole = content[: content.rfind(b"\n") + 1]
        try:
            header, ids, tally, following = _read(whole)
        except (ValueError, TypeError, KeyError, RecursionError):
            raise SnapshotError(f"{path} is no snapshot of deliveries to replay, or one of another version") from None
        if len(whole) < len(content):
            os.truncate(path, len(whole))
        found = cls(path, header, ids, tally, following)
        found.is_resumed = True
        return found

    @property
    def total(self) -> int:
        return len(self.ids)

    @property
    def done(self) -> int:
        return self.tally.done

    @property
    def left(self) -> int:
        return self.total - self.done

    @property
    def about(self) -> dict[str, Any]:
        return self.header.about

    def key(self) -> str:
        """The Idempotency-Key of the next request, as far as it has been recorded."""
        return f"kirimhook-replay-{self.header.name}-{self.done}"

    def record(self, tally: Tally, following: Next | None) -> None:
        """Durably: what has come of all so far, and what the next request takes."""
        written = _line({"tally": list(tally), "next": list(following) if following else None})
        if os.write(self._file, written) < len(written):
            raise OSError(errno.ENOSPC, "a record was written in part", str(self.path))
        os.fsync(self._file)
        self.tally, self.next = tally, following

    def remove(self) -> None:
        """For good."""
        self.close()
        remove(self.path)

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _line(said: object) -> bytes:
    return json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _read(whole: bytes) -> tuple[Header, list[str], Tally, Next | None]:
    """Raises ValueError, TypeError, KeyError for what is none."""
    lines = [json.loads(line) for line in whole.splitlines()]
    header = Header(**lines[0]) if lines else _refuse()
    ids, records = lines[1 : header.total + 1], lines[header.total + 1 :]
    if header.version != VERSION or len(ids) != header.total or not all(isinstance(one, str) for one in ids):
        _refuse()
    last = records[-1] if records else {"tally": [], "next": None}
    tally = Tally(*[int(count) for count in last["tally"]])
    following = Next(*last["next"]) if last["next"] else None
    if header.status not in ("dead", "failed") or (following and following.size < 1):
        _refuse()
    if tally.done + (following.size if following else 0) > header.total:
        _refuse()
    return header, ids, tally, following


def _refuse() -> Any:
    raise ValueError("no snapshot")
