"""Reading from whichever server keeps the stream.

The servers pick one of themselves at random for each request, also one that has stopped answering: until somebody
notices that, a part of all requests gets no answer. Slow is not silent: a request is sent again only when another
one, small and sent later, was answered meanwhile. So whoever is overloaded gets no more to do.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from kirimhook.backends.jetstream.answers import Answer, Batch, Message, header_of, status_of
from kirimhook.backends.jetstream.settings import JetStreamSettings
from kirimhook.backends.jetstream.wire import Wire
from kirimhook.receiver.inbox import InboxUnavailable

PATIENT, WARY = 0.25, 0.05
"""Seconds until a request without an answer is looked into; the second, since a silent server was found. Twice as
long each time that it is sent again."""
REMEMBERED = 10.0
"""Seconds for which a silent server is reckoned with."""
FORGOTTEN_AFTER = 20
"""Requests answered one after the other, after which it is not any more."""
PROBES = 2
AGAIN = 0.05
"""Seconds before something is asked again that was answered with an error."""
_PROBE = json.dumps({"seq": 1}).encode()

W = TypeVar("W", Answer, Batch)


class Reads:
    """Of one link, on its loop."""

    def __init__(self, settings: JetStreamSettings, wire: Callable[[], Wire]) -> None:
        self._settings = settings
        self._wire = wire
        self._wary_until = 0.0
        self._in_a_row = 0

    async def batch(self, stream: str, request: dict[str, Any], *, whole: bool) -> list[Message]:
        """The messages of one request, in order and without a gap. Unless `whole`, fewer may do. Raises
        `InboxUnavailable`."""
        timeout = self._settings.timeout

        def enough(batch: Batch) -> bool:
            return batch.trouble is None or (bool(batch.messages) and not whole)

        answered = await self._answered(stream, request, lambda deadline: Batch(deadline, timeout), enough)
        return answered.messages

    async def one(self, stream: str, request: dict[str, Any]) -> Message | None:
        """Raises `InboxUnavailable`."""
        answer = await self._answered(stream, request, Answer, _is_answer)
        if status_of(answer.headers):
            return None
        sequence = int(header_of(answer.headers, b"Nats-Sequence"))
        return Message(sequence, header_of(answer.headers, b"Nats-Subject").decode(), answer.data)

    async def _answered(
        self, stream: str, request: dict[str, Any], waiter: Callable[[float], W], enough: Callable[[W], bool]
    ) -> W:
        subject, payload = f"$JS.API.DIRECT.GET.{stream}", json.dumps(request).encode()
        loop = asyncio.get_running_loop()
        until = loop.time() + self._settings.patience
        while True:
            wire: Wire = self._wire()
            await wire.ready(until)
            ask = partial(self._ask, wire, subject, payload, waiter)
            asked = [ask()]
            found = await self._first(wire, subject, asked, ask, enough)
            if found is not None:
                return found
            if loop.time() + AGAIN >= until:
                raise InboxUnavailable(*wire.unanswered(asked[0].trouble or "an error instead of messages"))
            await asyncio.sleep(AGAIN)

    def _ask(self, wire: Wire, subject: str, payload: bytes, waiter: Callable[[float], W]) -> W:
        one = waiter(asyncio.get_running_loop().time() + self._settings.timeout)
        wire.ask(subject, payload, one)
        return one

    async def _first(
        self, wire: Wire, subject: str, asked: list[W], ask: Callable[[], W], enough: Callable[[W], bool]
    ) -> W | None:
        """The first that came to something, of those that are asked or will have to be. None: none did."""
        while True:
            await _wait([one.over for one in asked], self._pause() * 2 ** (len(asked) - 1))
            for one in asked:
                if one.over.done() and enough(one):
                    self._count(len(asked))
                    return one
            if all(one.over.done() for one in asked):
                return None
            if wire.clustered and not _begun(asked) and await self._is_silent(wire, subject, asked):
                asked.append(ask())

    async def _is_silent(self, wire: Wire, subject: str, asked: Sequence[W]) -> bool:
        """Whether somebody else answers, and those still do not."""
        deadline = asyncio.get_running_loop().time() + self._settings.timeout
        probes: list[Answer] = [Answer(deadline) for _ in range(PROBES)]
        for probe in probes:
            wire.ask(subject, _PROBE, probe)
        await _wait([*(probe.over for probe in probes), *(one.over for one in asked)], PATIENT)
        found = any(probe.over.done() and _is_answer(probe) for probe in probes) and not _begun(asked)
        if found:
            self._wary_until = asyncio.get_running_loop().time() + REMEMBERED
            self._in_a_row = 0
        return found

    def _pause(self) -> float:
        return WARY if asyncio.get_running_loop().time() < self._wary_until else PATIENT

    def _count(self, asked: int) -> None:
        self._in_a_row = self._in_a_row + 1 if asked == 1 else 0
        if self._in_a_row >= FORGOTTEN_AFTER:
            self._wary_until = 0.0


def _begun(asked: Sequence[Answer] | Sequence[Batch]) -> bool:
    return any(one.over.done() or one.begun for one in asked)


def _is_answer(answer: Answer) -> bool:
    return answer.trouble is None and status_of(answer.headers) in (0, 404)


async def _wait(over: Sequence[asyncio.Future[None]], seconds: float) -> None:
    """Until one that is not done yet is done, and no longer than that."""
    left = [one for one in over if not one.done()]
    if left:
        await asyncio.wait(left, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
