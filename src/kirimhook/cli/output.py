"""What commands write: data on stdout, as a table or as JSON; everything else on stderr."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

UNBOUNDED = 10_000
"""Columns of a table that goes into a pipe: whoever reads it there wants whole lines."""


def is_terminal() -> bool:
    """Whether there is somebody to ask, and to show progress to."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def document(data: Any) -> None:
    """One JSON document."""
    sys.stdout.write(json.dumps(data, indent=2, ensure_ascii=False) + "\n")


def line(data: Any) -> None:
    """One line of JSON lines."""
    sys.stdout.write(json.dumps(data, ensure_ascii=False, separators=(",", ":")) + "\n")


def raw(body: bytes) -> None:
    sys.stdout.buffer.write(body)
    sys.stdout.buffer.flush()


def text(words: str) -> None:
    sys.stdout.write(words + "\n")


def note(words: str) -> None:
    """For people: not part of the data."""
    sys.stderr.write(words + "\n")


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], long: Sequence[str] = ()) -> None:
    """`long` columns give way where the terminal is narrow.

    Texts are shown as they are: what came from outside is no markup, and starts no line and no escape.
    """
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        shown.add_column(column, overflow="ellipsis", no_wrap=column not in long)
    for row in rows:
        shown.add_row(*(Text(printable("" if cell is None else str(cell))) for cell in row))
    _console().print(shown)


def pairs(rows: Iterable[tuple[str, object]]) -> None:
    """Names and values, one a line."""
    shown = Table.grid(padding=(0, 2))
    shown.add_column(style="bold", no_wrap=True)
    shown.add_column(overflow="fold")
    for name, value in rows:
        shown.add_row(name, Text(printable("" if value is None else str(value), keep="\n")))
    _console().print(shown)


def printable(value: str, keep: str = "") -> str:
    """With everything that a terminal could take for a command written out."""
    return "".join(char if char.isprintable() or char in keep else ascii(char)[1:-1] for char in value)


def _console() -> Console:
    return Console(highlight=False, width=None if sys.stdout.isatty() else UNBOUNDED)
