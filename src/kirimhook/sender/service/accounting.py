"""The ledger: whether every delivery is accounted for. Promise G6; `store.ledger` says what is counted and why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from sqlalchemy import Connection

from kirimhook.sender.service.context import Context
from kirimhook.sender.store import ledger
from kirimhook.sender.store.ledger import Account, Finding, Total

__all__ = ["Account", "Finding", "Ledger", "Total", "take", "taken"]


class Ledger(NamedTuple):
    """At one moment."""

    accounts: list[Account]
    """By organisation, then subscription."""
    totals: list[Total]
    """By organisation."""
    findings: list[Finding]
    """What is wrong. Empty: it balances."""

    @property
    def balances(self) -> bool:
        return not self.findings


async def take(context: Context) -> Ledger:
    """Reads everything once: seconds for a million deliveries. Raises `StorageUnavailable`."""
    return await context.database.read(taken)


def taken(connection: Connection) -> Ledger:
    """In a transaction that is open."""
    accounts, totals = ledger.accounts(connection), ledger.totals(connection)
    return Ledger(accounts, totals, [*_unbalanced(accounts, totals), *ledger.findings(connection)])


def _unbalanced(accounts: list[Account], totals: list[Total]) -> Iterator[Finding]:
    off = [account.subscription_id for account in accounts if not account.balances]
    if off:
        yield Finding("account", "a subscription's originals are not succeeded + dead + open", len(off), off[0])
    off = [total.organisation_id for total in totals if not total.balances]
    if off:
        about = "an organisation's events made other deliveries than its subscriptions account for"
        yield Finding("total", about, len(off), off[0])
