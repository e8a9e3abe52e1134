"""What the tests of the command line share: a command run as it is from a shell, in this process."""

from __future__ import annotations

import io
import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any

from kirimhook.cli import main


@dataclass(frozen=True, slots=True)
class Ran:
    """Exit code and what was written."""

    code: int
    raw: bytes
    errors: str

    @property
    def out(self) -> str:
        return self.raw.decode()

    @property
    def data(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """The JSON lines on stdout."""
        return [json.loads(line) for line in self.out.splitlines()]


def kirimhook(*arguments: str, stdin: bytes = b"") -> Ran:
    """Run `kirimhook ARGUMENTS`, off a terminal."""
    raw, errors = io.BytesIO(), io.StringIO()
    before = sys.argv, sys.stdin
    out = io.TextIOWrapper(raw, "utf-8", write_through=True)
    sys.argv, sys.stdin = ["kirimhook", *arguments], io.TextIOWrapper(io.BytesIO(stdin), "utf-8")
    try:
        with redirect_stdout(out), redirect_stderr(errors):
            code = main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    finally:
        sys.argv, sys.stdin = before
    return Ran(code, raw.getvalue(), errors.getvalue())
