"""`module:hooks` on the command line, found from the working folder."""

from __future__ import annotations

import importlib
import sys
import traceback
from pathlib import Path
from types import TracebackType

from kirimhook.cli import output
from kirimhook.cli.failure import misuse
from kirimhook.receiver.hooks import HookError, Hooks


def find_hooks(where: str) -> Hooks:
    """The `Hooks` at `package.module:attribute.path`. Raises `Failure`; what the module raises comes out as it is."""
    name, colon, path = where.partition(":")
    if not name or not colon or not path:
        raise misuse(f"{where!r}: write module:attribute, as in receiver:hooks")
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    if name.endswith(".py"):
        raise misuse(f"{where!r}: write the module's name, {name[:-3].replace('/', '.')}:{path}")
    if not all(part.isidentifier() for part in name.split(".")):
        raise misuse(f"{name!r} is no module name: write receiver:hooks, not a path")
    found = _attribute(_module(name), name, path)
    if not isinstance(found, Hooks):
        raise misuse(f"{where} is {_article(found)}, not a kirimhook.Hooks")
    return found


def _module(name: str) -> object:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if name == missing or name.startswith(f"{missing}."):
            raise misuse(f"there is no module {missing!r} in {Path.cwd()} or on the Python path") from None
        raise misuse(f"{name} imports {missing!r}, which is not installed here") from error
    except HookError as error:
        raise misuse(f"{name}: {error}") from error
    except Exception as error:
        output.note("".join(traceback.format_exception(error.with_traceback(_theirs(error.__traceback__)))).rstrip())
        raise misuse(f"{name} cannot be imported: {type(error).__name__}") from error


def _theirs(trace: TracebackType | None) -> TracebackType | None:
    """Without the frames of ours and of the import system, which say nothing to whoever wrote the module."""
    while trace is not None and (
        "importlib" in trace.tb_frame.f_code.co_filename or trace.tb_frame.f_code.co_filename == __file__
    ):
        trace = trace.tb_next
    return trace


def _attribute(module: object, name: str, path: str) -> object:
    found = module
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            has = [key for key, value in vars(module).items() if isinstance(value, Hooks)]
            hint = f"; it has: {', '.join(has)}" if has else ""
            raise misuse(f"{name} has no {path!r}{hint}") from None
    return found


def _article(found: object) -> str:
    kind = type(found).__name__
    return f"{'an' if kind[:1].lower() in 'aeiou' else 'a'} {kind}"
