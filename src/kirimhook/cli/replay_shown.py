"""How far a replay of many has come, for whoever looks: a bar on a terminal, else a line now and then."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from kirimhook.cli import output

if TYPE_CHECKING:
    from kirimhook.operating.replaying import Course

EVERY = 10.0
"""Seconds between two lines, off a terminal."""


@contextlib.contextmanager
def progress(total: int) -> Iterator[Callable[[Course], None]]:
    """Gives what to call after each request."""
    if not sys.stderr.isatty():
        yield _Lines().tell
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("replaying"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("replaying", total=total, note="")

        def show(course: Course) -> None:
            rate = f"{bar.tasks[0].speed or 0:.0f}/s"
            note = f"the API asks to wait {course.waiting:.0f} s" if course.waiting else rate
            bar.update(task, completed=course.tally.done, note=note)

        yield show


class _Lines:
    """For a log."""

    def __init__(self) -> None:
        self._next = time.monotonic() + EVERY

    def tell(self, course: Course) -> None:
        now = time.monotonic()
        if now >= self._next or course.waiting >= EVERY:
            self._next = now + EVERY
            waits = f", the API asks to wait {course.waiting:.0f} s" if course.waiting else ""
            output.note(f"{course.tally.done} of {course.total} done{waits}")
