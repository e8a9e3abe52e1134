"""What a check is: one row of the table."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from kirimhook.operating.doctor.finding import Finding
    from kirimhook.operating.doctor.visit import Visit


class Check(NamedTuple):
    """One thing to find out about a consumer."""

    id: str
    tries: str
    """What is done."""
    right: str
    """What a right consumer answers."""
    section: str
    """Where the contract says so, and from whom it has it: [seed], [docs] or [ours]."""
    cost: str
    """What it costs the operator where it is not so."""
    run: Callable[[Visit], Awaitable[Finding]]
    """Raises NoAnswer, which is a failure, and Spent."""
    needs: str = ""
    """Another check, above, without which this one would say nothing."""
    probes: bool = False
    """It sends what a live handler would act on."""
