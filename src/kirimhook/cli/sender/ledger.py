"""`kirimhook sender ledger`: whether every event that was published is accounted for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from kirimhook.cli import output
from kirimhook.cli.failure import Exit
from kirimhook.cli.sender.options import DATABASE, DatabaseUrl

if TYPE_CHECKING:
    from kirimhook.sender.service.accounting import Ledger

COLUMNS = (
    "ORGANISATION",
    "SUBSCRIPTION",
    "STATUS",
    "ORIGINALS",
    "SUCCEEDED",
    "DEAD",
    "OPEN",
    "HELD",
    "REPLAYS",
    "TESTS",
)
LONG = ("ORGANISATION", "SUBSCRIPTION")
EXAMPLES = """Examples:

  kirimhook sender ledger

  kirimhook sender ledger --database postgresql://kirim@db/kirim --json | jq .problems

With --json: {balances, problems: [{check, about, times, example}], organisations: […], subscriptions: […]}.

Exit codes: 0 it balances, 1 it does not, or the database cannot be used, 2 the command line makes no sense."""


def ledger(
    database: DatabaseUrl = DATABASE,
    as_document: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """Account for every delivery of every subscription: what was published is what succeeded, died or is open.

    Looks at one moment, while senders go on; reads everything. Exit code 1: it does not balance, and stderr says why.
    """
    from kirimhook.cli.sender.opened import with_sender

    found = with_sender(database, lambda sender: sender.ledger())
    if as_document:
        output.document(_document(found))
    else:
        _show(found)
    raise typer.Exit(Exit.OK if found.balances else Exit.NO)


def _document(found: Ledger) -> dict[str, Any]:
    return {
        "balances": found.balances,
        "problems": [finding._asdict() for finding in found.findings],
        "organisations": [total._asdict() for total in found.totals],
        "subscriptions": [account._asdict() for account in found.accounts],
    }


def _show(found: Ledger) -> None:
    names = {total.organisation_id: total.name for total in found.totals}
    output.table(
        COLUMNS,
        [
            (
                names.get(account.organisation_id, account.organisation_id),
                account.subscription_id,
                account.status,
                *(account.originals, account.succeeded, account.dead, account.open, account.held),
                *(account.replays, account.tests),
            )
            for account in found.accounts
        ],
        LONG,
    )
    for finding in found.findings:
        output.note(f"{finding.check}: {finding.about}: {finding.times}, {finding.example} among them")
    if found.balances:
        output.note("it balances: originals = succeeded + dead + open, of every subscription")
