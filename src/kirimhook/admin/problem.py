"""Why a command is not ready, as data."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from kirimhook.admin.report import AnyFleet


class Problem(NamedTuple):
    """`code` is one word for machines, `detail` a sentence for people."""

    code: str
    detail: str


def found(fleet: AnyFleet, of_process: Callable[..., Iterable[Problem]]) -> list[Problem]:
    """Why this is not ready, each reason once: of the whole, and what `of_process` says of each. Empty: it is."""
    return list(dict.fromkeys(_found(fleet, of_process)))


def _found(fleet: AnyFleet, of_process: Callable[..., Iterable[Problem]]) -> Iterator[Problem]:
    if fleet.stopping:
        yield Problem("stopping", "told to stop: it finishes what it has and takes nothing new")
    if len(fleet.processes) == fleet.silent:
        yield Problem("no_process", "no process answers")
    for report in fleet.processes:
        if report.storage_problem is not None:
            yield Problem("storage", report.storage_problem)
        yield from of_process(report)
