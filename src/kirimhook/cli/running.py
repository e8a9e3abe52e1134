"""Runs what `serve` and `work` were asked for: alone, as a supervisor, or as the child that one started."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import typer

from kirimhook.cli.failure import Failure, misuse
from kirimhook.cli.hooks_found import find_hooks
from kirimhook.receiver.hooks import HookError
from kirimhook.serving.control import inherited
from kirimhook.serving.options import Options, OptionsError, ServeError
from kirimhook.serving.process import run_alone, run_as_child
from kirimhook.serving.signals import die_politely
from kirimhook.serving.supervisor import supervise

if TYPE_CHECKING:
    from collections.abc import Callable


def run(make: Callable[[], Options], hooks_at: str) -> None:
    """Until told to stop. Raises `typer.Exit` with the exit code, and `Failure`."""
    die_politely()
    try:
        raise typer.Exit(_run(make(), hooks_at))
    except (OptionsError, HookError) as error:
        raise misuse(str(error)) from error
    except ServeError as error:
        raise Failure(str(error)) from error


def _run(options: Options, hooks_at: str) -> int:
    given = inherited(os.environ)
    if given is not None:
        return run_as_child(options, find_hooks(hooks_at), given)
    if options.processes > 1:
        return supervise(options, [sys.executable, *sys.orig_argv[1:]])  # the very command line that started us
    return run_alone(options, find_hooks(hooks_at))
