"""What a JetStream inbox asks of the servers: store with an expectation, read, remove.

What is safe to ask again is asked again for as long as `patience` says: a leader that changes, or a server that goes,
costs time. Storing is not asked again once its outcome is unknown.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Sequence
from typing import Any

from kirimhook.backends.jetstream.answers import Ack, Answer, Gathered, Message, status_of
from kirimhook.backends.jetstream.names import Names
from kirimhook.backends.jetstream.reads import AGAIN, Reads
from kirimhook.backends.jetstream.settings import JetStreamSettings
from kirimhook.backends.jetstream.wire import Wire
from kirimhook.receiver.inbox import InboxUnavailable

__all__ = ["Link", "Message", "OutcomeUnknown", "Refused", "WrongLast"]

WRONG_LAST = 10071
NO_MESSAGE, NO_STREAM = 10037, 10059
FULL = frozenset({10023, 10028, 10047, 10077, 10122, 10123})
"""The stream, the account or the disk has no room."""
FIRST = 0.5
"""Seconds to wait for the first answer of a leader, who may have to be elected first."""
TOO_LARGE = frozenset({10054, 10097})
SOON_OVER = frozenset({10005, 10049, 10164})
"""Too few servers yet; a stream that is being made; another message of the subject is being stored. So is whatever has
the code 503."""
MOST_SUBJECTS = 512


class WrongLast(Exception):
    """The last message is not the one that was expected. Certain: nothing was stored."""

    def __init__(self, last: int | None) -> None:
        super().__init__(f"the last message is {last}")
        self.last = last
        """The sequence of the last one, where the server said it."""


class OutcomeUnknown(InboxUnavailable):
    """It was sent and nothing came back: it may be stored now, or later, or not at all."""


class Refused(InboxUnavailable):
    """The servers said no. Certain: nothing was stored. `code` is JetStream's own, 0 where there is none."""

    def __init__(self, reason: str, detail: str, code: int = 0, *, temporary: bool = False) -> None:
        super().__init__(reason, detail)
        self.code = code
        self.temporary = temporary
        """Asking again may help."""


class Link:
    """Of one handle. Everything is called on the loop that `connect` was called on."""

    def __init__(self, settings: JetStreamSettings) -> None:
        self._settings = settings
        self._names = Names(settings.name)
        self._wire: Wire | None = None
        self._on_hint: list[Callable[[], object]] = []
        self._reads = Reads(settings, self._open_wire)

    @property
    def connected(self) -> bool:
        return self._wire is not None and self._wire.connected

    @property
    def max_payload(self) -> int:
        """Bytes that the server takes in one message, headers included. 0 while not connected."""
        return self._wire.max_payload if self._wire is not None else 0

    async def connect(self) -> None:
        """Raises `InboxUnavailable` when no server can be reached in time; it goes on trying all the same."""
        if self._wire is None:
            wire = Wire(self._settings)
            wire.hint_subject = self._names.hint
            wire.on_hint = self._hinted
            wire.start()
            self._wire = wire
        await self._wire.ready(asyncio.get_running_loop().time() + self._settings.commit_bound)

    async def close(self) -> None:
        """Everything that waits gets `InboxUnavailable`."""
        wire, self._wire = self._wire, None
        if wire is not None:
            await wire.stop()

    async def publish(self, subject: str, payload: bytes, *, expected: int | None = None, over: str = "") -> int:
        """Store a message; its sequence, when it is durable.

        `expected` is the sequence of the last message of `subject` (0: there is none), or of the last one that
        matches `over`. Raises `WrongLast`; `OutcomeUnknown`; any other `InboxUnavailable` stored nothing.
        """
        until = self._patience()
        while True:
            await self._open_wire().ready(until)
            try:
                return await self.publish_soon(subject, payload, expected=expected, over=over)
            except Refused as refused:
                await self._again(refused, until)

    def publish_soon(
        self, subject: str, payload: bytes, *, expected: int | None = None, over: str = ""
    ) -> asyncio.Future[int]:
        """Like `publish`, sent once, in the order of the calls; thousands may be on their way.

        Raises `InboxUnavailable` at once when not connected, or when it is too large for the server.
        """
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def acked(data: bytes | None) -> None:
            if future.done():
                return
            outcome = outcome_of(data)
            if isinstance(outcome, int):
                future.set_result(outcome)
            else:
                future.set_exception(outcome)

        self.post(subject, payload, acked, expected=expected, over=over)
        return future

    def post(
        self,
        subject: str,
        payload: bytes,
        acked: Callable[[bytes | None], None],
        *,
        expected: int | None = None,
        over: str = "",
        deadline: float | None = None,
    ) -> None:
        """Like `publish_soon`, for who wants no future: `acked` is called with what `outcome_of` reads.

        An answer later than `deadline` (the loop's clock), or than `timeout` allows, counts as none.
        """
        wire = self._open_wire()
        headers = _expecting(expected, over)
        if wire.connected and len(payload) + len(headers) > wire.max_payload:
            detail = f"{len(payload)} bytes, and the server's max_payload is {wire.max_payload}"
            raise Refused("too_large", detail)
        last = self._deadline() if deadline is None else min(deadline, self._deadline())
        wire.ask(subject, payload, Ack(last, acked), headers)

    async def read(self, stream: str, subject: str, seq: int, most: int, most_bytes: int) -> list[Message]:
        """Messages from sequence `seq` on whose subject matches, in order, without a gap; at least one if there is.

        Empty: the server that was asked has no more. It may lag behind the leader.
        """
        asked = {"next_by_subj": subject, "seq": max(1, seq), "batch": most, "max_bytes": most_bytes}
        return await self._reads.batch(stream, asked, whole=False)

    async def last(self, stream: str, subject: str, *, leader: bool = True) -> Message | None:
        """The last message whose subject matches. A server other than the leader may lag behind."""
        if leader:
            return await self._from_leader(stream, {"last_by_subj": subject})
        return await self._reads.one(stream, {"last_by_subj": subject})

    async def get(self, stream: str, sequence: int) -> Message | None:
        """The message with that sequence. What a server lacks is looked for at the leader."""
        found = await self._reads.one(stream, {"seq": sequence})
        return found or await self._from_leader(stream, {"seq": sequence})

    async def next(self, stream: str, subject: str, seq: int) -> Message | None:
        """The first message from sequence `seq` on whose subject matches, as the leader knows it: None is exact."""
        return await self._from_leader(stream, {"next_by_subj": subject, "seq": max(1, seq)})

    async def last_of(self, stream: str, subjects: Sequence[str]) -> list[Message]:
        """The last messages of up to `MOST_SUBJECTS` subjects, by sequence; the server asked may lag behind."""
        if not subjects:
            return []
        asked = {"multi_last": list(subjects), "batch": len(subjects)}
        return await self._reads.batch(stream, asked, whole=True)

    async def purge(self, stream: str, subject: str, below: int) -> int:
        """Remove messages with a sequence under `below` whose subject matches; how many."""
        found = await self.api(f"STREAM.PURGE.{stream}", {"filter": subject, "seq": below})
        return int(found.get("purged", 0))

    async def delete(self, stream: str, sequence: int, *, overwrite: bool = False) -> bool:
        """Remove one message, and `overwrite` its bytes in the servers' files. False: it was not there."""
        try:
            await self.api(f"STREAM.MSG.DELETE.{stream}", {"seq": sequence, "no_erase": not overwrite})
        except Refused as refused:
            if refused.code in (NO_MESSAGE, 10043, 10057):
                return False
            raise
        return True

    async def info(self, stream: str) -> dict[str, Any]:
        """Configuration, state and cluster of a stream, as the servers say it. Raises `Refused` with `NO_STREAM`."""
        return await self.api(f"STREAM.INFO.{stream}", None)

    async def api(self, name: str, request: dict[str, Any] | None, *, first: float | None = None) -> dict[str, Any]:
        """Ask JetStream for something that may be asked twice. Raises `Refused`, `InboxUnavailable`.

        `first`: seconds to wait for the first answer, twice as many each time after that; else always `timeout`.
        """
        until, within = self._patience(), first or self._settings.timeout
        payload = json.dumps(request).encode() if request is not None else b""
        while True:
            try:
                reply = await self._ask(f"$JS.API.{name}", payload, until, within)
                if status_of(reply.headers) == 503:
                    raise Refused("storage_unavailable", "no server answers for JetStream", temporary=True)
                found: dict[str, Any] = json.loads(reply.data)
                if "error" in found:
                    raise _refused(found["error"])
                return found
            except (Refused, OutcomeUnknown) as error:
                within = min(2 * within, self._settings.timeout)
                await self._again(error, until)

    async def gather(self, subject: str, within: float) -> list[bytes]:
        """What all who listen on `subject` answer within so many seconds; empty where nobody does."""
        wire = self._open_wire()
        await wire.ready(self._patience())
        gathered = Gathered(asyncio.get_running_loop().time() + within)
        wire.ask(subject, b"", gathered)
        await gathered.over
        return gathered.data

    def hint(self) -> None:
        """Tell all handles that something came. They look anyway, now and then."""
        if self._wire is not None:
            self._wire.tell(self._names.hint)

    def on_hint(self, callback: Callable[[], object]) -> None:
        """Called, on the loop, when some handle says so; also when a connection was lost and is there again."""
        self._on_hint.append(callback)

    def _hinted(self) -> None:
        for callback in self._on_hint:
            callback()

    async def _from_leader(self, stream: str, request: dict[str, Any]) -> Message | None:
        try:
            found = (await self.api(f"STREAM.MSG.GET.{stream}", request, first=FIRST))["message"]
        except Refused as refused:
            if refused.code == NO_MESSAGE:
                return None
            raise
        return Message(int(found["seq"]), str(found["subject"]), base64.b64decode(found.get("data", "")))

    async def _ask(self, subject: str, payload: bytes, until: float, within: float) -> Answer:
        wire = self._open_wire()
        await wire.ready(until)
        answer = Answer(asyncio.get_running_loop().time() + within)
        wire.ask(subject, payload, answer)
        await answer.over
        if answer.trouble is not None:
            raise OutcomeUnknown(*wire.unanswered(answer.trouble))
        return answer

    async def _again(self, error: InboxUnavailable, until: float) -> None:
        """Wait a moment; raises `error` where there is no time left, or no sense."""
        lasting = isinstance(error, Refused) and not error.temporary
        if lasting or asyncio.get_running_loop().time() + AGAIN >= until:
            raise error
        await asyncio.sleep(AGAIN)

    def _open_wire(self) -> Wire:
        if self._wire is None:
            raise InboxUnavailable("closed", "open the inbox first")
        return self._wire

    def _patience(self) -> float:
        return asyncio.get_running_loop().time() + self._settings.patience

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + self._settings.timeout


def outcome_of(data: bytes | None) -> int | WrongLast | InboxUnavailable:
    """What an acknowledgement says: the sequence, or what to raise. None: none came."""
    if data is None:
        return OutcomeUnknown("storage_unavailable", "not acknowledged in time")
    try:
        return _read_ack(data)
    except (ValueError, KeyError, AttributeError):
        return OutcomeUnknown("storage_unavailable", f"not an acknowledgement: {data[:100]!r}")


def _read_ack(data: bytes) -> int | WrongLast | InboxUnavailable:
    if not data:
        return Refused("storage_unavailable", "no server takes messages of this stream", temporary=True)
    if b'"error"' not in data:
        start = data.find(b'"seq":') + 6
        return int(data[start : start + 20].lstrip().split(b",")[0].rstrip(b"} \n"))
    error = json.loads(data)["error"]
    if error.get("err_code") == WRONG_LAST:
        last = str(error.get("description", "")).rpartition(":")[2].strip()
        return WrongLast(int(last) if last.isdigit() else None)
    return _refused(error)


def _refused(error: dict[str, Any]) -> Refused:
    code = int(error.get("err_code", 0))
    detail = f"{error.get('description', 'refused')} ({code})"
    if code in FULL:
        return Refused("storage_full", detail, code)
    if code in TOO_LARGE:
        return Refused("too_large", detail, code)
    return Refused("storage_unavailable", detail, code, temporary=code in SOON_OVER or error.get("code") == 503)


def _expecting(expected: int | None, over: str) -> bytes:
    if expected is None:
        return b""
    lines = b"NATS/1.0\r\nNats-Expected-Last-Subject-Sequence: %d\r\n" % expected
    if over:
        lines += b"Nats-Expected-Last-Subject-Sequence-Subject: %b\r\n" % over.encode()
    return lines + b"\r\n"
