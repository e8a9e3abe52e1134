"""The inbox that the pages look into: that of the process itself, or one of their own, opened when first needed."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Protocol

from kirimhook.receiver.inbox import InboxUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from kirimhook.receiver.inbox import Inbox

PATIENCE = 5.0
"""Seconds that a page waits for an inbox to open. It goes on opening; the next page finds it open."""


class Handle(Protocol):
    """Gives the inbox, and lets go of it."""

    async def inbox(self) -> Inbox:
        """Open. Raises `InboxUnavailable`."""
        ...

    async def close(self) -> None: ...


class Borrowed:
    """Of the process that serves: opened and closed by that."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox

    async def inbox(self) -> Inbox:
        return self._inbox

    async def close(self) -> None:
        """Nothing: it is not ours."""


class Lazy:
    """One of its own, made and opened by the first who asks. One that could not be opened is tried anew. One loop."""

    def __init__(
        self,
        make: Callable[[], Inbox],
        patience: float = PATIENCE,
        *,
        scrub: Callable[[str], str] = str,
    ) -> None:
        """`scrub` takes out of a problem's words what nobody should read."""
        self._make = make
        self._scrub = scrub
        self._patience = patience
        self._opening: asyncio.Task[Inbox] | None = None
        self._closed = False

    async def inbox(self) -> Inbox:
        if self._closed:
            raise InboxUnavailable("closed", "the pages are being closed")
        if self._opening is None or _failed(self._opening):
            self._opening = asyncio.create_task(self._open())
        await asyncio.wait({self._opening}, timeout=self._patience)
        if not self._opening.done():
            raise InboxUnavailable("not_open", f"it did not open within {self._patience:g} s; it is still being tried")
        return self._opening.result()

    async def close(self) -> None:
        """Of what was opened. Twice is once."""
        opening, self._opening, self._closed = self._opening, None, True
        if opening is None:
            return
        opening.cancel()
        with contextlib.suppress(asyncio.CancelledError, InboxUnavailable):
            await (await opening).close()

    async def _open(self) -> Inbox:
        inbox = await asyncio.to_thread(self._make)  # it may import a driver
        try:
            await inbox.open()
        except BaseException as error:
            await inbox.close()
            if isinstance(error, InboxUnavailable):
                raise InboxUnavailable(error.reason, self._scrub(error.detail), error.retry_after) from error
            raise
        return inbox


def _failed(opening: asyncio.Task[Inbox]) -> bool:
    return opening.done() and (opening.cancelled() or opening.exception() is not None)
