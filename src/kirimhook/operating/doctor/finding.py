"""What became of one check."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Verdict(StrEnum):
    """What became of a check. Only PASSED says that something is right."""

    PASSED = "passed"
    WARNED = "warned"
    """Not as the contract has it, or soon not, yet nothing is lost or let in by it today; or it cannot be told."""
    FAILED = "failed"
    NOT_RUN = "not_run"
    """It was asked for and could not be done."""
    LEFT_OUT = "left_out"
    """It was not asked for, or there is nothing here that it is about."""


class Finding(NamedTuple):
    """The verdict of one check, and what was seen, in one line."""

    verdict: Verdict
    saw: str


def passed(saw: str) -> Finding:
    return Finding(Verdict.PASSED, saw)


def warned(saw: str) -> Finding:
    return Finding(Verdict.WARNED, saw)


def failed(saw: str) -> Finding:
    return Finding(Verdict.FAILED, saw)


def not_run(why: str) -> Finding:
    return Finding(Verdict.NOT_RUN, why)


def left_out(why: str) -> Finding:
    return Finding(Verdict.LEFT_OUT, why)
