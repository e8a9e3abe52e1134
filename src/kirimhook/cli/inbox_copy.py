"""`kirimhook inbox copy`: move an inbox, with a progress bar for whoever looks."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Annotated

import typer

from kirimhook.backends import shown
from kirimhook.cli import output
from kirimhook.cli.copying import Course, copy, go_on

EXAMPLES = """Examples:

  kirimhook inbox copy sqlite:////var/lib/kirim/inbox.db postgresql://kirim@db/kirim

  kirimhook inbox copy postgresql://kirim@db/kirim 'nats://n1,n2,n3/kirim' --after 1500000

Stop every serve and work on FROM first, migrate TO, copy, start them on TO: what comes meanwhile, the sender delivers
again. Events arrive as they stand: what is done or parked stays so, what is running is due at once. It may be run
again, as often as you like: an event that is there already is left as it is there.

With --json: {read, copied, known, states, after, seconds}.

Exit codes: 0 all is there, 1 it broke off and says how to go on, 2 the command line makes no sense, 130 interrupted."""
EVERY = 10.0
"""Seconds between two lines of progress, off a terminal."""


def copy_inbox(
    source: Annotated[str, typer.Argument(help="The inbox to read, a URL.", metavar="FROM")],
    target: Annotated[str, typer.Argument(help="The inbox to store it in, migrated before.", metavar="TO")],
    after: Annotated[int, typer.Option("--after", min=0, metavar="NUMBER", help="Go on behind this event.")] = 0,
    as_document: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """Copy all events of FROM into TO: bodies, states, attempts, and what is known of finished ones.

    A copied event that arrives again is a duplicate there, and is not handled again.
    """
    course = Course(after)
    try:
        with _progress() as progress:
            copy(source, target, course, progress)
    except KeyboardInterrupt:
        output.note(f"kirimhook: interrupted: {go_on(course)}")
        raise
    _warn(course, source)
    if as_document:
        output.document(course.as_json())
        return
    states = ", ".join(f"{count} {state}" for state, count in course.as_json()["states"].items() if count)
    output.text(f"{course.copied} copied, {course.known} were there already" + (f" ({states})" if states else ""))


def _warn(course: Course, source: str) -> None:
    if course.running:
        output.note(f"{course.running} events were leased in {shown(source)}: if a worker still runs there, stop it")
    if course.paused:
        output.note(f"{shown(source)} is paused, and a pause is not copied")


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[Course], None]]:
    """Gives what to call after each page."""
    if not sys.stderr.isatty():
        yield _Lines().tell
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("copying"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:.0f}/s"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("copying", total=None, rate=0.0)

        def show(course: Course) -> None:
            left = course.last - course.after  # by numbers: some of them may be gone
            bar.update(task, completed=course.read, total=course.read + left, rate=course.rate)

        yield show


class _Lines:
    """For a log."""

    def __init__(self) -> None:
        self._next = time.monotonic() + EVERY

    def tell(self, course: Course) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + EVERY
            output.note(f"{course.read} events read, up to {course.after} of {course.last}, {course.rate:.0f}/s")
