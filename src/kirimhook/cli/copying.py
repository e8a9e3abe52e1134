"""Copying what one inbox holds into another, page by page, as it stands."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from kirimhook.backends import kind_of, shown
from kirimhook.backends.sqlite.settings import SQLiteSettings
from kirimhook.cli.failure import Failure, misuse
from kirimhook.cli.inbox_opened import opened, unusable
from kirimhook.receiver.inbox import Filter, InboxUnavailable
from kirimhook.receiver.model import EventState, StoredEvent

if TYPE_CHECKING:
    from collections.abc import Awaitable

T = TypeVar("T")

PAGE = 500
"""Events that are read at one time; fewer where their bodies are heavy."""


@dataclass(slots=True)
class Course:
    """How far a copy has come. It knows that while it runs, and when it broke off."""

    after: int
    """All events up to this number are in the other inbox, durably."""
    last: int = 0
    """The number of the newest one, when it began."""
    read: int = 0
    copied: int = 0
    states: Counter[EventState] = field(default_factory=Counter)
    paused: bool = False
    running: int = 0
    """Leased to workers, when it began."""
    began: float = field(default_factory=time.monotonic)

    @property
    def known(self) -> int:
        """Those that were there already."""
        return self.read - self.copied

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.read / self.seconds if self.seconds else 0.0

    def as_json(self) -> dict[str, Any]:
        states = {state.value: self.states[state] for state in EventState}
        return {
            "read": self.read,
            "copied": self.copied,
            "known": self.known,
            "states": states,
            "after": self.after,
            "seconds": round(self.seconds, 3),
        }


def copy(source: str, target: str, course: Course, progress: Callable[[Course], None]) -> None:
    """All events above `course.after`. Calls `progress` after each page.

    Raises `Failure`, saying how to go on, and KeyboardInterrupt with `course` telling it.
    """
    if _place(source) == _place(target):
        raise misuse(f"both are {shown(source)}: there is nothing to copy")
    asyncio.run(_copy(source, target, course, progress))


async def _copy(source: str, target: str, course: Course, progress: Callable[[Course], None]) -> None:
    async with opened(source) as one, opened(target) as other:
        about = _Asked(source, course)
        stats = await about(one.stats())
        course.paused, course.running = stats.paused, stats.counts.get(EventState.RUNNING, 0)
        newest = (await about(one.list(Filter(), limit=1))).events
        course.last = newest[0].number if newest else course.after
        progress(course)
        while page := await about(one.read(course.after, PAGE)):
            course.copied += await _Asked(target, course)(other.adopt(page))
            _count(course, page)
            progress(course)


def _count(course: Course, page: list[StoredEvent]) -> None:
    course.read += len(page)
    course.states.update(stored.state for stored in page)
    course.after = page[-1].number
    course.last = max(course.last, course.after)


class _Asked:
    """Awaits what one of the inboxes is asked; an outage becomes what to do about it."""

    def __init__(self, url: str, course: Course) -> None:
        self._url = url
        self._course = course

    async def __call__(self, asked: Awaitable[T]) -> T:
        try:
            return await asked
        except InboxUnavailable as error:
            raise Failure(f"{unusable(self._url, error)}; {go_on(self._course)}") from error


def go_on(course: Course) -> str:
    return f"{course.read} events are over there: go on with --after {course.after}"


def _place(url: str) -> tuple[str, ...]:
    """Where an inbox is, without what else its URL says. Two names of one server are two places: then every event is
    known there already, and nothing happens."""
    try:
        kind = kind_of(url)
        path = str(Path(SQLiteSettings.from_url(url).path).resolve()) if kind == "sqlite" else ""
    except ValueError as error:
        raise misuse(str(error)) from None
    if kind == "sqlite":
        return kind, path
    location, _, query = url.partition("://")[2].partition("?")
    hosts = location.rpartition("@")[2]
    told = sorted(part for part in query.split("&") if part.startswith(("schema=", "host=", "port=")))
    return kind, hosts, *(told if kind == "postgresql" else ())
