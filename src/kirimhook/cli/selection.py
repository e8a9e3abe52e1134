"""Which events an `inbox` command means: its filter options, and the `Filter` made of them."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from kirimhook.cli.failure import misuse
from kirimhook.cli.moments import moment
from kirimhook.receiver.inbox import Filter
from kirimhook.receiver.model import EventState

States = Annotated[list[EventState] | None, typer.Option("--state", help="Only this state; repeat for several.")]
Types = Annotated[
    list[str] | None, typer.Option("--type", help="Only this type, or a prefix as in 'message.*'; repeat for several.")
]
EventId = Annotated[str | None, typer.Option("--event-id", help="Only this event id (a status shares its message's).")]
Numbers = Annotated[list[int] | None, typer.Option("--number", help="Only this event; repeat for several.", min=1)]
After = Annotated[
    str | None, typer.Option("--after", metavar="TIME", help="Received at or after: ISO 8601, or 2h, 7d (ago).")
]
Before = Annotated[str | None, typer.Option("--before", metavar="TIME", help="Received before: the same.")]


def selected(  # one argument for each option
    states: list[EventState] | None,
    types: list[str] | None,
    event_id: str | None,
    numbers: list[int] | None,
    after: str | None,
    before: str | None,
) -> Filter:
    """Raises `Failure` for what is no time, or no pattern."""
    for pattern in types or ():
        if "*" in pattern[:-1]:
            raise misuse(f"--type {pattern}: * stands at the end only")
    return Filter(
        states=frozenset(states or ()),
        types=tuple(types or ()),
        event_id=event_id,
        numbers=tuple(numbers or ()),
        received_after=_milliseconds(after),
        received_before=_milliseconds(before),
    )


def _milliseconds(written: str | None) -> int | None:
    return None if written is None else int(moment(written, time.time()) * 1000)
