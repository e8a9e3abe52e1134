"""A relay in front of a real API that carries a request out and loses the answer to the first try of each."""

from __future__ import annotations

import asyncio
import ssl
import urllib.error
import urllib.request
from collections import Counter

from kirimhook.testing.endpoint import Answer, Line, Request, Reset, Respond

SECONDS = 30.0
LEFT_OUT = {"host", "connection", "content-length", "accept-encoding"}


class Losing:
    """`choose` is for an `Endpoint`. A request is known by its method, its target and its Idempotency-Key."""

    def __init__(self, url: str, trust: ssl.SSLContext) -> None:
        self._url = url
        self._trust = trust
        self.seen: Counter[tuple[str, str, str | None]] = Counter()

    def choose(self, request: Request) -> Answer:
        known = (request.method, request.target, request.header("Idempotency-Key"))
        self.seen[known] += 1
        is_lost = self.seen[known] == 1

        async def relay(line: Line) -> None:
            answer = await asyncio.to_thread(self._ask, request)
            await (Reset() if is_lost else answer)(line)

        return relay

    def _ask(self, request: Request) -> Respond:
        headers = {name: value for name, value in request.headers if name.lower() not in LEFT_OUT}
        asked = urllib.request.Request(self._url + request.target, request.body or None, headers, method=request.method)
        try:
            with urllib.request.urlopen(asked, timeout=SECONDS, context=self._trust) as reply:
                return Respond(reply.status, reply.read())
        except urllib.error.HTTPError as error:
            with error:
                return Respond(error.code, error.read())
