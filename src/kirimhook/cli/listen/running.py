"""Runs what `listen` was asked for, as `serve` is run: one process, its signals, its way to end."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TextIO

import typer

from kirimhook.backends import open_inbox, scrubbed
from kirimhook.cli.failure import Failure, misuse
from kirimhook.cli.hooks_found import find_hooks
from kirimhook.cli.listen import place
from kirimhook.cli.listen.following import Following
from kirimhook.cli.listen.listening import Listening, Told
from kirimhook.cli.listen.place import Place
from kirimhook.cli.running import Program, run_program
from kirimhook.operating.files import HeldError
from kirimhook.serving.receiving import Receiving
from kirimhook.serving.service import Service


def run(hooks: str, told: Told, *, as_lines: bool) -> None:
    """Until told to stop. Raises `typer.Exit` with the exit code, and `Failure`."""
    _check(told.inbox)
    stdout, running = sys.stdout, list[Listening]()
    if as_lines:
        sys.stdout = sys.stderr  # where handlers print
    try:
        with place.of(told.account) as mine:
            run_program(lambda: _program(hooks, told, mine, stdout if as_lines else None, running))
    except HeldError as error:
        raise Failure("another kirimhook listen runs here for this account") from error
    except typer.Exit:
        if running and running[0].trouble:
            raise Failure(running[0].trouble) from None
        raise
    finally:
        sys.stdout = stdout


def _program(hooks: str, told: Told, mine: Place, lines: TextIO | None, running: list[Listening]) -> Program:
    """`running` gets what is made."""
    options = told.options(mine)

    def load() -> Callable[[], Listening]:
        found = find_hooks(hooks)

        def make() -> Listening:
            running.append(Listening(Service(options, found), Following(options.inbox, lines), told, mine))
            return running[0]

        return make

    return Program(Receiving(options), load)


def _check(inbox: str) -> None:
    """Raises `Failure` for an inbox that there is not, or that nobody else can look into."""
    try:
        shared = not inbox or open_inbox(inbox).capabilities.shared
    except ValueError as error:
        raise misuse(f"--inbox: {scrubbed(str(error), inbox)}") from None
    if not shared:
        raise misuse("--inbox: an inbox in memory shows nobody what is in it; without --inbox there is a temporary one")
