"""Whether events should be sent here: every reason why not, as data."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kirimhook.receiver.admin.report import Fleet, ProcessReport


class Problem(NamedTuple):
    """`code` is one word for machines, `detail` a sentence for people."""

    code: str
    detail: str


def problems(fleet: Fleet) -> list[Problem]:
    """Why this is not ready, each reason once. Empty: it is."""
    return list(dict.fromkeys(_problems(fleet)))


def _problems(fleet: Fleet) -> Iterator[Problem]:
    if fleet.stopping:
        yield Problem("stopping", "told to stop: it finishes what it has and takes nothing new")
    if len(fleet.processes) == fleet.silent:
        yield Problem("no_process", "no process answers")
    for report in fleet.processes:
        yield from _of_process(report)


def _of_process(report: ProcessReport) -> Iterator[Problem]:
    if report.storage_problem is not None:
        yield Problem("storage", report.storage_problem)
    if report.receives and not report.secrets:
        yield Problem("no_secrets", f"no usable secret is loaded: {report.secrets_problem or 'the source gave none'}")
    if report.clock_offset is not None:
        side = "ahead of" if report.clock_offset > 0 else "behind"
        yield Problem("clock", f"our clock is {abs(report.clock_offset):.0f} s {side} the sender's, by its signatures")
    if report.worker_failed:
        yield Problem("worker", "the worker ended by a defect: events are stored but not handled; see the log")
