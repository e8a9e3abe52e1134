"""Live pages are few for a process (`pages.live`): one organisation leaves some to the others."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from starlette.responses import PlainTextResponse, Response

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.types import Receive, Scope, Send

MOST = 16
"""Of one organisation, in one process: a fourth of all."""
RETRY_AFTER = "30"


class Shares:
    """Counts the streams of each organisation while they are open."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._open: Counter[str] = Counter()

    async def stream(self, organisation_id: str, make: Callable[[], Awaitable[Response]]) -> Response:
        """What `make` gives; 503 where the organisation has its share: the page then stays as it is, readable."""
        if self._open[organisation_id] >= self._most:
            text = "this organisation has enough live pages open here; this one stays as it is\n"
            return PlainTextResponse(text, 503, {"retry-after": RETRY_AFTER})
        return _Counted(await make(), self._open, organisation_id)


class _Counted(Response):
    """An answer that counts for as long as it lasts."""

    def __init__(self, answer: Response, counts: Counter[str], whose: str) -> None:
        self._answer = answer
        self._counts = counts
        self._whose = whose

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        counts, whose = self._counts, self._whose
        counts[whose] += 1
        try:
            await self._answer(scope, receive, send)
        finally:
            counts[whose] -= 1
            if not counts[whose]:
                del counts[whose]
