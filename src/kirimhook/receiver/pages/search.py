"""Looking through an inbox of any size in a bounded time.

A filter by type or time has no index: in a large inbox it may look at everything there is. So it is asked for one span
of numbers after the other, wider as long as the answers are quick, until enough is found or the time is over.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from kirimhook.receiver.inbox import Filter, Inbox
from kirimhook.receiver.model import StoredEvent

PATIENCE = 0.5
"""Seconds after which a search says where it got to. One step more may be under way."""
NARROW, WIDE = 1_000, 4_000_000
"""Numbers of the first span, and of the widest."""
QUICK, SLOW = 0.05, 0.2
"""Seconds of an answer below which the next span is four times as wide, above which it is half as wide."""


class Span(NamedTuple):
    """Numbers from `first` to `last`, both of stored events; `last` is below `first` where there are none."""

    first: int
    last: int


class Found(NamedTuple):
    """Newest first, without bodies."""

    events: list[StoredEvent]
    next: int | None
    """Go on below this number. None: there is nothing more."""


class Counted(NamedTuple):
    number: int
    is_all: bool
    """False: the time was over, and there may be more."""


class Stride:
    """How wide the next span is."""

    def __init__(self, width: int = NARROW) -> None:
        self.width = width

    def took(self, seconds: float) -> None:
        """Learn from the last one."""
        if seconds < QUICK:
            self.width = min(self.width * 4, WIDE)
        elif seconds > SLOW:
            self.width = max(self.width // 2, 1)


async def span(inbox: Inbox) -> Span:
    """What there is now. Raises `InboxUnavailable`."""
    newest = (await inbox.list(Filter(), 1, bodies=False)).events
    oldest = await inbox.read(0, 1)
    return Span(oldest[0].number, newest[0].number) if newest and oldest else Span(1, 0)


async def look(
    inbox: Inbox,
    where: Filter,
    below: int | None = None,
    limit: int = 50,
    *,
    clock: Callable[[], float] = time.monotonic,
    stride: Stride | None = None,
) -> Found:
    """Up to `limit` events, the newest below number `below`. Raises `InboxUnavailable`.

    It may find fewer, also none, and still say where to go on: then its time was over.
    """
    first, last = await span(inbox)
    top = last + 1 if below is None else min(below, last + 1)
    found: list[StoredEvent] = []
    stride, end = stride or Stride(), clock() + PATIENCE
    while top > first:
        began, bottom = clock(), max(first, top - stride.width)
        page = await inbox.list(replace(where, above=bottom - 1, below=top), limit - len(found), bodies=False)
        found += page.events
        if page.next_cursor is not None:
            return Found(found, found[-1].number)
        top = bottom
        stride.took(clock() - began)
        if len(found) == limit or clock() >= end:
            break
    return Found(found, top if top > first else None)


async def count(
    inbox: Inbox, where: Filter, *, clock: Callable[[], float] = time.monotonic, stride: Stride | None = None
) -> Counted:
    """How many there are, or at least how many. Raises `InboxUnavailable`."""
    first, last = await span(inbox)
    top, number = last + 1, 0
    stride, end = stride or Stride(), clock() + PATIENCE
    while top > first:
        began, bottom = clock(), max(first, top - stride.width)
        number += await inbox.count(replace(where, above=bottom - 1, below=top))
        top = bottom
        stride.took(clock() - began)
        if clock() >= end:
            break
    return Counted(number, top <= first)
