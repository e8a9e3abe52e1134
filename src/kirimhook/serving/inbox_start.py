"""How a process begins with its inbox: what it refuses, what it waits for, and what it tells.

A file that cannot be opened is a mistake in the command line. A server may be away for a while: a receiver that is
restarted meanwhile starts, answers 503, and serves as soon as the server does.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from kirimhook.backends import kind_of, scrubbed, shown
from kirimhook.receiver.inbox import InboxUnavailable
from kirimhook.serving.options import ServeError

if TYPE_CHECKING:
    from kirimhook.observe import Observer
    from kirimhook.receiver.inbox import Inbox

LOOK = 1.0
"""Seconds between two tries to open an inbox that was away."""
LASTING = frozenset({"not_migrated", "newer_schema", "not_durable", "refused"})
"""Reasons of a server that do not pass by themselves; `refused`: the user, the password or the name is wrong."""

LOST_HINT = "this inbox loses events with the process, or with the power: not for production"
LATE_HINT = "its servers sync writes late, or do not say when: inbox_opened tells what is promised"


class InboxStart:
    """Open once, stop once."""

    def __init__(self, inbox: Inbox, url: str, observer: Observer) -> None:
        self._inbox = inbox
        self._url = url
        self._observer = observer
        self._awaiting: asyncio.Task[None] | None = None

    @property
    def hint(self) -> str | None:
        """About an inbox that is open and not durable."""
        if self._awaiting is not None or self._inbox.capabilities.durable:
            return None
        return LATE_HINT if getattr(self._inbox, "promise", "") else LOST_HINT

    async def open(self) -> None:
        """Raises `ServeError`, with the inbox closed, for one that cannot be used until somebody changes something."""
        try:
            await self._inbox.open()
        except InboxUnavailable as error:
            if kind_of(self._url) == "sqlite" or error.reason in LASTING:
                await self._inbox.close()
                raise ServeError(refusal(self._url, error)) from error
            self._tell_awaited(error)
            self._awaiting = asyncio.create_task(self._await())
        else:
            self._tell_opened()

    async def stop(self) -> None:
        if self._awaiting is not None:
            self._awaiting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._awaiting

    async def _await(self) -> None:
        """Until it is open. A reason that lasts is told once, and tried again all the same."""
        told = ""
        while True:
            await asyncio.sleep(LOOK)
            try:
                await self._inbox.open()
            except InboxUnavailable as error:
                if error.reason in LASTING and error.reason != told:
                    told = error.reason
                    self._tell_awaited(error)
            else:
                self._tell_opened()
                return

    def _tell_awaited(self, error: InboxUnavailable) -> None:
        detail = scrubbed(error.detail, self._url)
        self._observer.event("inbox_awaited", inbox=shown(self._url), reason=error.reason, detail=detail)

    def _tell_opened(self) -> None:
        self._observer.event("inbox_opened", inbox=shown(self._url), promise=promise(self._inbox))


def refusal(url: str, error: InboxUnavailable) -> str:
    """Why it cannot be opened, and what to do about it. One line."""
    if error.reason == "not_migrated":
        return f"the inbox {shown(url)} is not migrated: run kirimhook migrate --inbox {shown(url)}"
    return f"the inbox {shown(url)} cannot be opened: {scrubbed(str(error), url)}"


def promise(inbox: Inbox) -> str:
    """What an acknowledgement means there: in the words of an inbox that has any, else as it says of itself."""
    own = str(getattr(inbox, "promise", ""))
    if own:
        return own
    return "on disk, fsynced, before the answer" if inbox.capabilities.durable else "lost with the process or the power"
