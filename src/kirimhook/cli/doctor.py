"""`kirimhook doctor`: what is wrong with a consumer of webhooks, and what it would cost."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kirimhook.cli import output
from kirimhook.cli.addressed import trust
from kirimhook.cli.failure import Exit, misuse
from kirimhook.cli.secrets_given import FILE_HELP, SECRET_HELP, given_secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kirimhook.operating.doctor.place import Place
    from kirimhook.operating.doctor.report import Examined, Report

EXAMPLES = """Examples:

  kirimhook doctor https://hooks.example.com/kirim-webhook --secrets-file secrets.txt

  kirimhook doctor https://localhost:8443/kirim-webhook --ca-bundle ca.pem --admin http://127.0.0.1:9464

  kirimhook doctor https://staging.example.com/kirim --secrets-file secrets.txt --probe-events

  kirimhook doctor https://hooks.example.com/kirim --secrets-file secrets.txt --json | jq '.checks[] | select(.cost)'

  kirimhook doctor --list

It sends about 50 requests, 100 at most, and ends within two minutes. About 40 of them are test events
(livemode:false), which the consumer stores; --json lists their ids. --probe-events adds the three statuses of a message
and a body that is no JSON: these cannot say that they are tests.

A warning is no failure: nothing is lost by it today. What could not be checked is said, and is no success.

Exit codes: 0 nothing failed, 1 something failed or could not be checked, 2 the command line makes no sense."""


def doctor(  # noqa: PLR0913  # options
    url: Annotated[str | None, typer.Argument(help="Where webhooks are received.", metavar="URL")] = None,
    secret: Annotated[list[str] | None, typer.Option("--secret", help=SECRET_HELP)] = None,
    secrets_file: Annotated[Path | None, typer.Option("--secrets-file", help=FILE_HELP)] = None,
    ca_bundle: Annotated[
        Path | None, typer.Option("--ca-bundle", help="Trust the authorities of this file (PEM) only.")
    ] = None,
    admin: Annotated[
        list[str] | None, typer.Option("--admin", help="Admin port of a receiver of ours, to be asked too; repeat it.")
    ] = None,
    probe_events: Annotated[
        bool, typer.Option("--probe-events", help="Also send events that a live handler would act on.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The report as one JSON document.")] = False,
    list_checks: Annotated[bool, typer.Option("--list", help="List the checks, and what each is worth.")] = False,
) -> None:
    """Examine a consumer of webhooks, whoever wrote it: what is wrong, and what it would cost."""
    if list_checks:
        _list(as_json)
        return
    if url is None:
        raise misuse("what to examine: kirimhook doctor URL --secrets-file FILE (or --list)")
    from kirimhook.operating.doctor.bounds import MOST_ADMINS, MOST_SECRETS
    from kirimhook.operating.doctor.examine import examine
    from kirimhook.operating.doctor.visit import Order

    place, admins = _place("URL", url), tuple(_place("--admin", one) for one in admin or ())
    secrets = given_secrets(secret or (), secrets_file)
    if len(secrets) > MOST_SECRETS or len(admins) > MOST_ADMINS:
        raise misuse(f"{MOST_SECRETS} secrets and {MOST_ADMINS} receivers at most")
    trust(ca_bundle)
    order = Order(place, secrets, str(ca_bundle) if ca_bundle else None, admins, probe_events)
    try:
        with _progress(as_json) as tell:
            report = asyncio.run(examine(order, url, tell))
    except KeyboardInterrupt:
        output.note("stopped: nothing is found out, and what was sent stays sent; run it again")
        raise
    if as_json:
        output.document(report.to_json())
    else:
        _show(report)
    raise typer.Exit(Exit.OK if report.is_healthy else Exit.NO)


def _place(what: str, url: str) -> Place:
    from kirimhook.operating.doctor.place import Place

    try:
        return Place.of(url)
    except ValueError as error:
        raise misuse(f"{what} {url!r}: {error}") from None


@contextmanager
def _progress(as_json: bool) -> Iterator[Callable[[Examined], None]]:
    """What to call after each check; on a terminal, with a bar."""
    if as_json or not output.is_terminal():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import Progress

    from kirimhook.operating.doctor.table import CHECKS

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("examining", total=len(CHECKS))
        yield lambda examined: bar.update(task, advance=1, description=f"examining: {examined.check.id}")


def _list(as_json: bool) -> None:
    from kirimhook.operating.doctor.table import CHECKS

    if as_json:
        output.document(
            [
                {
                    "check": check.id,
                    "tries": check.tries,
                    "right": check.right,
                    "contract": check.section,
                    "cost": check.cost,
                    "needs": check.needs or None,
                    "probe_events": check.probes,
                }
                for check in CHECKS
            ]
        )
        return
    rows = [(check.id, check.tries, check.right, check.cost) for check in CHECKS]
    output.table(("CHECK", "TRIES", "RIGHT", "WRONG COSTS"), rows, long=("TRIES", "RIGHT", "WRONG COSTS"))


def _show(report: Report) -> None:
    """The table, then what was complained of, then what it comes to."""
    rows = [(row.finding.verdict.value.replace("_", " "), row.check.id, row.finding.saw) for row in report.examined]
    output.table(("VERDICT", "CHECK", "SAW"), rows, long=("SAW",))
    for row in report.examined:
        if row.is_complaint:
            output.text(f"\n{row.check.id} {row.finding.verdict.value}")
            said = [("tried", row.check.tries), ("saw", row.finding.saw), ("right", row.check.right)]
            output.pairs([*said, ("contract", row.check.section), ("costs", row.check.cost)])
    counts = [f"{count} {verdict.value.replace('_', ' ')}" for verdict, count in report.counts.items()]
    output.text(f"\n{', '.join(counts)}; {report.requests} requests in {report.seconds:.1f} s")
