"""How a command ends: the exit codes, and the one exception that carries one."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    OK = 0
    NO = 1
    """The answer is no, or what was asked for failed."""
    USAGE = 2
    """The command line, or what it names, makes no sense; or an extra is missing."""


class Failure(Exception):
    """What a command has to say when it cannot go on: one line, without a traceback."""

    def __init__(self, message: str, code: Exit = Exit.NO) -> None:
        super().__init__(message)
        self.code = code


def misuse(message: str) -> Failure:
    return Failure(message, Exit.USAGE)
