"""Runs what `serve`, `work` and `sender` were asked for: alone, as a supervisor, or as the child that one started."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NamedTuple

import typer

from kirimhook.cli.failure import Failure, misuse
from kirimhook.cli.hooks_found import find_hooks
from kirimhook.receiver.hooks import HookError
from kirimhook.serving.control import inherited
from kirimhook.serving.options import Options, OptionsError, ServeError
from kirimhook.serving.process import run_alone, run_as_child
from kirimhook.serving.receiving import Receiving
from kirimhook.serving.service import Service
from kirimhook.serving.signals import die_politely
from kirimhook.serving.supervisor import supervise

if TYPE_CHECKING:
    from collections.abc import Callable

    from kirimhook.serving import plan


class Program(NamedTuple):
    """`load` gets what a process needs before it runs, users' code included, and returns how to make its service."""

    plan: plan.Plan
    load: Callable[[], Callable[[], plan.Service]]


def run(make: Callable[[], Options], hooks_at: str) -> None:
    """Receive, until told to stop. Raises `typer.Exit` with the exit code, and `Failure`."""
    run_program(lambda: _receiving(make(), hooks_at))


def _receiving(options: Options, hooks_at: str) -> Program:
    def load() -> Callable[[], Service]:
        hooks = find_hooks(hooks_at)
        return lambda: Service(options, hooks)

    return Program(Receiving(options), load)


def run_program(make: Callable[[], Program]) -> None:
    """Until told to stop. Raises `typer.Exit` with the exit code, and `Failure`."""
    die_politely()
    try:
        raise typer.Exit(_run(make()))
    except (OptionsError, HookError) as error:
        raise misuse(str(error)) from error
    except ServeError as error:
        raise Failure(str(error)) from error


def _run(program: Program) -> int:
    given = inherited(os.environ)
    if given is not None:
        return run_as_child(program.load(), given)
    if program.plan.processes > 1:
        return supervise(program.plan, [sys.executable, *sys.orig_argv[1:]])  # the command line that started us
    return run_alone(program.plan, program.load())
