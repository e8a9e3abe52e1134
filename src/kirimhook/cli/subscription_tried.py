"""`kirimhook subscriptions test`: a sample event to one subscription, and what came of it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from kirimhook.cli import output
from kirimhook.cli.api_given import ApiKey, ApiUrl, CaBundle, check_id, with_api
from kirimhook.cli.failure import Exit, Failure
from kirimhook.cli.resources_shown import delivery_shown
from kirimhook.contract import ids
from kirimhook.contract.resources import DeliveryStatus

if TYPE_CHECKING:
    from kirimhook.client import Kirim
    from kirimhook.contract.resources import Delivery

EXAMPLES = """Examples:

  kirimhook subscriptions test wbs_…

  kirimhook subscriptions test wbs_… --event message.received --wait 30

Exit codes: 0 it is under way, or with --wait: the endpoint took it; 1 it did not, or the API refused; 2 the command
line makes no sense."""

EVERY = 0.2
"""Seconds between two looks at a delivery that is awaited."""


def send_test(  # noqa: PLR0913  # options
    subscription: Annotated[str, typer.Argument(help="Its id.", metavar="wbs_…")],
    event: Annotated[
        str | None, typer.Option("--event", metavar="TYPE", help="A sample of this type. Without it: contact.created.")
    ] = None,
    wait: Annotated[
        float | None,
        typer.Option("--wait", min=0, metavar="SECONDS", help="Wait for the first attempt, and say what came of it."),
    ] = None,
    url: ApiUrl = None,
    key: ApiKey = None,
    ca_bundle: CaBundle = None,
    as_document: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """Have our sender deliver a sample event, with `livemode: false`, to one subscription.

    The hosted API may have no such call: then it is refused with 404.
    """
    wanted = check_id(subscription, ids.SUBSCRIPTION)

    def tried(kirim: Kirim) -> Delivery:
        made = kirim.webhook_subscriptions.test(wanted, event=event)
        return made if wait is None else _awaited(kirim, made.id, wait)

    delivery = with_api(url, key, ca_bundle, tried)
    if as_document:
        output.document(delivery.to_json())
    elif wait is None:
        output.text(f"{delivery.id}: see what comes of it with kirimhook deliveries show {delivery.id}")
    else:
        delivery_shown(delivery)
    if wait is not None and delivery.status is not DeliveryStatus.SUCCEEDED:
        raise typer.Exit(Exit.NO)


def _awaited(kirim: Kirim, delivery_id: str, seconds: float) -> Delivery:
    """As it is after its first attempt."""
    until = time.monotonic() + seconds
    while True:
        found = kirim.webhook_deliveries.get(delivery_id)
        if found.status is not DeliveryStatus.PENDING:
            return found
        if time.monotonic() > until:
            raise Failure(f"{delivery_id} was not attempted within {seconds:g} s: is the subscription active?")
        time.sleep(EVERY)
