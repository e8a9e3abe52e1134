"""One look at all that is parked: what of it is new, in a bounded summary, and how far it is told then. No I/O."""

from __future__ import annotations

import heapq
from dataclasses import replace

from kirimhook.receiver.model import StoredEvent
from kirimhook.receiver.telling.progress import LATE, MOST_MARKS, Progress, mark
from kirimhook.telling import Kind, Notice, digest, merged

SETTLING = 1000
"""Milliseconds: what was parked so shortly before may not be alone; it is told with the next look."""
MOST_GROUPS = 500
"""Of events that are told apart by type and reason; the others are counted together."""
OTHERS = "for other reasons"
_TRACEBACK = "Traceback (most recent call last):"
_NO_REASON = "no reason is kept"


class Look:
    """Shown each event that is parked once, in any order."""

    def __init__(self, progress: Progress, now: int) -> None:
        """`now`: when it begins, in milliseconds."""
        self._progress = progress
        self._now = now
        self._groups: dict[tuple[str, ...], Notice] = {}
        self._newest: list[tuple[int, str]] = []
        self.parked = 0
        self.fresh = 0
        self.unsettled = 0
        """Of `parked`: those that are told with the next look."""

    def add(self, *some: StoredEvent) -> None:
        for stored in some:
            self._add(stored)

    def _add(self, stored: StoredEvent) -> None:
        self.parked += 1
        at = stored.finished_at or 0
        if abs(self._now - at) < SETTLING:
            self.unsettled += 1
            return
        if not self._progress.tells(stored.number, at):
            self.fresh += 1
            self._count(stored, at)
        if at > self._now - LATE:
            heapq.heappush(self._newest, (at, mark(stored.number, at)))
            if len(self._newest) > MOST_MARKS + 1:
                heapq.heappop(self._newest)

    def _count(self, stored: StoredEvent, at: int) -> None:
        one = Notice(
            Kind.PARKED_EVENTS,
            short(stored.reason),
            at,
            at,
            event_type=stored.event.type or None,
            examples=(str(stored.number),),
        )
        if one.group not in self._groups and len(self._groups) >= MOST_GROUPS:
            one = replace(one, event_type=None, reason=OTHERS)
        before = self._groups.get(one.group)
        self._groups[one.group] = one if before is None else merged([before, one])[0]

    @property
    def notices(self) -> list[Notice]:
        """Of what is new, at most `MOST_GROUPS` and one."""
        return list(self._groups.values())

    @property
    def names(self) -> list[str]:
        """By which a summary that comes again is known."""
        return [digest([repr(notice)]) for notice in self._groups.values()]

    def told(self) -> Progress:
        """How far it is, once what is new has been told."""
        until = max(self._progress.until, self._now - LATE)
        if len(self._newest) > MOST_MARKS:
            cut = self._newest[0][0]  # what was parked with it, or before, was seen and is told
            until = max(until, min(cut, self._now - SETTLING))
        newest = [found for found in sorted(self._newest, reverse=True) if found[0] > until][:MOST_MARKS]
        return replace(
            self._progress,
            until=until,
            marks=frozenset(name for _, name in newest),
            looked_at=self._now,
            parked=self.parked - self.unsettled,
            next_at=0,
            failures=0,
            holder="",
        )


def short(reason: str | None) -> str:
    """On one line: of a traceback what it begins with, and the error at its end."""
    lines = [line for line in (reason or "").splitlines() if line.strip()]
    if not lines:
        return _NO_REASON
    head, traceback, _ = lines[0].partition(_TRACEBACK)
    return f"{head}{lines[-1].strip()}" if traceback and len(lines) > 1 else lines[0].strip()
