"""Erasing what the sender holds of one customer, on request. `contract.customers` says what is theirs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from sqlalchemy import Connection

from kirimhook.contract import customers
from kirimhook.contract.customers import Number
from kirimhook.sender.service.context import Context
from kirimhook.sender.store import erasing
from kirimhook.sender.store.erasing import Erased, Held

ROWS = 500
"""Events that are looked at in one step."""
BYTES = 16 * 1024 * 1024
"""Of their bodies."""
AT_ONCE = 50
"""Events of one transaction."""


class Erasure(NamedTuple):
    """What was done. In a dry run nothing is erased, and `found` is what would be looked at."""

    scanned: int = 0
    found: int = 0
    erased: Erased = Erased()


Tell = Callable[[Erasure], None]


def untold(_erasure: Erasure) -> None: ...


async def erase(
    context: Context, customer: Number, organisation_id: str | None, *, dry_run: bool, tell: Tell
) -> Erasure:
    """All events that mention the customer, of one organisation or of all, in bounded steps; may be run again.

    Calls `tell` after each step.
    """
    done, after = Erasure(), ""
    while page := await context.database.read(_next(organisation_id, after)):
        found = [one.id for one in page if _is_theirs(one, customer)]
        erased = done.erased if dry_run else done.erased.plus(await _erase(context, found))
        done = Erasure(done.scanned + len(page), done.found + len(found), erased)
        after = page[-1].id
        tell(done)
    return done


def _next(organisation_id: str | None, after: str) -> Callable[[Connection], list[Held]]:
    return lambda connection: erasing.held(connection, organisation_id, after, ROWS, BYTES)


def _is_theirs(one: Held, customer: Number) -> bool:
    return customers.is_named_by(one.event_id, customer) or customers.mentions(one.body, customer)


async def _erase(context: Context, event_ids: list[str]) -> Erased:
    total = Erased()
    for start in range(0, len(event_ids), AT_ONCE):
        chosen = event_ids[start : start + AT_ONCE]
        total = total.plus(await context.database.write(partial(erasing.erase, event_ids=chosen, now=context.now())))
    return total
