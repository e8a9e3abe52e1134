"""Runs `kirimhook` commands that die by SIGKILL at a point: before or after a file is written, or a call is made.

A process of its own, that forks once for each command: one JSON object a line on stdin says what to run, one a line on
stdout what became of it. `passed` are names of points at which it does not die; it dies at the first other one.
Without `passed` it dies nowhere.
"""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import httpx

from kirimhook.cli import app, rotate
from kirimhook.client import AsyncKirim
from kirimhook.operating import rotation
from kirimhook.operating.rotation import journal

LOADED = (app, rotate, AsyncKirim, rotation)
"""What commands import when they run: a fork has it already."""
WRITES = {"POST", "DELETE"}


class Points:
    """Where a command is, and whether it dies there."""

    def __init__(self, passed: list[str], told: io.TextIOBase | Any) -> None:
        self._passed = passed
        self._told = told

    def at(self, point: str) -> None:
        if point not in self._passed:
            self._told.write(point)
            self._told.flush()
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, function: Callable[..., Any], name: Callable[..., str]) -> Callable[..., Any]:
        def wrapped(*args: Any) -> Any:
            what = name(*args)
            self.at(f"before {what}")
            result = function(*args)
            self.at(f"after {what}")
            return result

        return wrapped


def watch(points: Points) -> None:
    """Every file that is replaced or removed, and every call that changes something."""
    Path.replace = points.around(Path.replace, _replaced)  # type: ignore[method-assign]  # in this process, which dies
    journal.remove = points.around(journal.remove, lambda _: "removing the journal")  # type: ignore[attr-defined]  # imported there
    send = httpx.AsyncHTTPTransport.handle_async_request

    async def sent(self: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
        name = f"{request.method} {request.url.path.rpartition('wbs_')[2][27:33]}"
        if request.method in WRITES:
            points.at(f"before {name}")
        answer = await send(self, request)
        if request.method in WRITES:
            points.at(f"after {name}")
        return answer

    httpx.AsyncHTTPTransport.handle_async_request = sent  # type: ignore[method-assign]  # in this process, which dies


def _replaced(source: Path, target: Path) -> str:
    """Told apart by what is written."""
    content = source.read_bytes()
    if target.suffix != ".rotation":
        begun = target.with_name(f"{target.name}.rotation").exists()
        return f"writing {content.count(b'whsec_')} secrets, {'begun' if begun else 'not begun'}"
    found = json.loads(content)
    return f"writing {found['step']}, {'called' if found['posted_at'] else 'not called'}"


def run(order: dict[str, Any]) -> dict[str, Any]:
    with (
        tempfile.TemporaryFile("w+") as point,
        tempfile.TemporaryFile("w+") as out,
        tempfile.TemporaryFile("w+") as err,
    ):
        child = os.fork()
        if child == 0:
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            if order["passed"] is not None:
                watch(Points(order["passed"], point))
            command(order["arguments"])
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        texts = []
        for file in (point, out, err):
            file.seek(0)
            texts.append(file.read())
        return {"code": code, "point": texts[0], "out": texts[1], "err": texts[2]}


def command(arguments: list[str]) -> NoReturn:
    sys.argv = ["kirimhook", *arguments]
    code = 99
    try:
        app.app()
    except SystemExit as ended:
        code = int(ended.code or 0)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    for line in sys.stdin:
        sys.stdout.write(json.dumps(run(json.loads(line))) + "\n")
        sys.stdout.flush()
