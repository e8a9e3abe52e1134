"""Reading from whichever server keeps the stream.

The servers pick one of themselves at random for each request, also one that has stopped answering: for as long as
nobody notices that, a part of all requests gets no answer. So the first answer is not waited for long, and once one
was missing, each request is sent several times for a while.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from kirimhook.backends.jetstream.answers import Answer, Batch, Message, header_of, status_of
from kirimhook.backends.jetstream.settings import JetStreamSettings
from kirimhook.backends.jetstream.wire import SILENCE, Wire
from kirimhook.receiver.inbox import InboxUnavailable

FIRST = 0.25
"""Seconds to wait for the first answer; twice as many each time after that."""
WARY = 30.0
"""Seconds for which a missing answer is remembered."""
COPIES = 3
"""Requests sent at once meanwhile."""
AGAIN = 0.05
"""Seconds before something is asked again that was answered with an error."""

W = TypeVar("W", Answer, Batch)


class Reads:
    """Of one link, on its loop."""

    def __init__(self, settings: JetStreamSettings, wire: Callable[[], Wire]) -> None:
        self._settings = settings
        self._wire = wire
        self._wary_until = 0.0

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

        def enough(answer: Answer) -> bool:
            return answer.trouble is None and status_of(answer.headers) in (0, 404)

        answer = await self._answered(stream, request, Answer, enough)
        if status_of(answer.headers):
            return None
        sequence = int(header_of(answer.headers, b"Nats-Sequence"))
        return Message(sequence, header_of(answer.headers, b"Nats-Subject").decode(), answer.data)

    async def _answered(
        self, stream: str, request: dict[str, Any], waiter: Callable[[float], W], enough: Callable[[W], bool]
    ) -> W:
        subject, payload = f"$JS.API.DIRECT.GET.{stream}", json.dumps(request).encode()
        loop = asyncio.get_running_loop()
        until, within = loop.time() + self._settings.patience, FIRST
        while True:
            wire = self._wire()
            await wire.ready(until)
            copies = COPIES if loop.time() < self._wary_until else 1
            asked = [waiter(loop.time() + min(within, self._settings.timeout)) for _ in range(copies)]
            for one in asked:
                wire.ask(subject, payload, one)
            found = await _first(asked, enough)
            if found is not None:
                return found
            detail = asked[0].trouble or "an error instead of messages"
            if loop.time() + AGAIN >= until:
                raise InboxUnavailable(*wire.unanswered(detail))
            if detail == SILENCE:
                self._wary_until = loop.time() + WARY
                within *= 2
            else:
                await asyncio.sleep(AGAIN)


async def _first(asked: Sequence[W], enough: Callable[[W], bool]) -> W | None:
    """The first that came to something; None once none of them has."""
    left = set(asked)
    while left:
        await asyncio.wait([one.over for one in left], return_when=asyncio.FIRST_COMPLETED)
        done = {one for one in left if one.over.done()}
        for one in done:
            if enough(one):
                return one
        left -= done
    return None
