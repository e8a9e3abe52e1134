"""Settlements as `settle(…)` takes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kirimhook.backends.postgres.texts import storable
from kirimhook.receiver.model import (
    Done,
    Parked,
    Released,
    RetryAt,
    Settlement,
    Skipped,
    SnoozeUntil,
    Unhandled,
)

KINDS: dict[type, str] = {
    Done: "done",
    Parked: "parked",
    Unhandled: "unhandled",
    Skipped: "skipped",
    RetryAt: "retry",
    SnoozeUntil: "snoozed",
    Released: "released",
}
FINISHING = frozenset({Done, Parked, Unhandled, Skipped})


def cut(settlements: Sequence[Settlement]) -> list[list[Settlement]]:
    """In order, into batches in which no event is settled or gone on to twice. Nearly always one."""
    batches: list[list[Settlement]] = []
    met: set[int] = set()
    named: set[int] = set()
    for one in settlements:
        then = one.then if one.then != one.number else None
        if not batches or one.number in met or then in named:
            batches.append([])
            met, named = set(), set()
        batches[-1].append(one)
        met.add(one.number)
        named.add(one.number)
        if then is not None:
            named.add(then)
    return batches


def columns(settlements: Sequence[Settlement]) -> tuple[list[Any], ...]:
    """Of one such batch: tokens, numbers, the next numbers, chains, kinds, moments, reasons."""
    chains: list[int] = []
    expected: dict[tuple[int, int], int] = {}
    for position, one in enumerate(settlements):
        chain = expected.pop((one.token, one.number), position)
        chains.append(chain)
        if one.then is not None and type(one.outcome) in FINISHING:
            expected[one.token, one.then] = chain
    return (
        [one.token for one in settlements],
        [one.number for one in settlements],
        [one.then if one.then != one.number else None for one in settlements],
        chains,
        [KINDS[type(one.outcome)] for one in settlements],
        [moment(one) for one in settlements],
        [reason(one) for one in settlements],
    )


def moment(settlement: Settlement) -> int | None:
    outcome = settlement.outcome
    return outcome.at if isinstance(outcome, RetryAt | SnoozeUntil) else None


def reason(settlement: Settlement) -> str | None:
    outcome = settlement.outcome
    return storable(outcome.reason) if isinstance(outcome, RetryAt | Parked) else None
