"""`kirimhook deliveries`: what became of each event on its way, and once more. Many at once: `deliveries_bulk`."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kirimhook.cli import output
from kirimhook.cli.api_given import ApiKey, ApiUrl, CaBundle, check_id, with_api
from kirimhook.cli.moments import moment
from kirimhook.cli.resources_shown import DELIVERY_COLUMNS, DELIVERY_LONG, delivery_row, delivery_shown
from kirimhook.contract import ids
from kirimhook.contract.resources import DeliveryKind, DeliveryStatus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kirimhook.client import Kirim, Page
    from kirimhook.contract.resources import Delivery

deliveries = typer.Typer(
    help="See what became of deliveries, and have events sent once more.",
    no_args_is_help=True,
    epilog="Exit codes: 0 done, 1 the API refused it or did not answer, 2 the command line makes no sense.",
)

PAGE = 100
"""The most that the API gives at one time."""

DeliveryId = Annotated[str, typer.Argument(help="Its id, as `deliveries list` shows it.", metavar="wbd_…")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]
After = Annotated[str | None, typer.Option("--after", metavar="TIME", help="Created after: ISO 8601, or 2h, 7d (ago).")]
Before = Annotated[str | None, typer.Option("--before", metavar="TIME", help="Created before: the same.")]


@deliveries.command(
    "list",
    epilog="Examples:\n\n  kirimhook deliveries list --subscription wbs_… --status dead\n\n"
    "  kirimhook deliveries list --status dead --unreplayed --after 7d --all --json | jq -r .event_id",
)
def list_deliveries(  # noqa: PLR0913  # options
    subscription: Annotated[
        str | None, typer.Option("--subscription", metavar="wbs_…", help="Only to this subscription.")
    ] = None,
    status: Annotated[
        DeliveryStatus | None, typer.Option("--status", help="Only in this state; dead: the dead letters.")
    ] = None,
    event_type: Annotated[str | None, typer.Option("--type", metavar="TYPE", help="Only of this event type.")] = None,
    event_id: Annotated[str | None, typer.Option("--event-id", metavar="ID", help="Only of this event.")] = None,
    kind: Annotated[DeliveryKind | None, typer.Option("--kind", help="Only of this kind.")] = None,
    unreplayed: Annotated[
        bool, typer.Option("--unreplayed", help="Only those that were not sent once more yet.")
    ] = False,
    after: After = None,
    before: Before = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many, the newest.")] = 25,
    every: Annotated[bool, typer.Option("--all", help="However many there are.")] = False,
    cursor: Annotated[str | None, typer.Option("--cursor", help="Go on where a list ended.")] = None,
    url: ApiUrl = None,
    key: ApiKey = None,
    ca_bundle: CaBundle = None,
    as_lines: Annotated[bool, typer.Option("--json", help="One JSON object a line on stdout, as they come.")] = False,
) -> None:
    """List deliveries, newest first."""
    where = {
        "subscription_id": None if subscription is None else check_id(subscription, ids.SUBSCRIPTION),
        "status": status,
        "event_type": event_type,
        "event_id": event_id,
        "kind": kind,
        "unreplayed": True if unreplayed else None,
        "created_after": moment_given(after),
        "created_before": moment_given(before),
    }

    def listed(kirim: Kirim) -> tuple[list[Delivery], str | None]:
        found: list[Delivery] = []
        following = cursor
        for page in _pages(kirim, where, None if every else limit, cursor):
            following = page.next_cursor
            if as_lines:
                for one in page.items:
                    output.line(one.to_json())
            else:
                found += page.items
        return found, following

    found, following = with_api(url, key, ca_bundle, listed)
    if not as_lines:
        output.table(DELIVERY_COLUMNS, [delivery_row(one) for one in found], DELIVERY_LONG)
    if following is not None:
        output.note(f"there are more: --cursor {following}, or --all")


def _pages(kirim: Kirim, where: dict[str, Any], limit: int | None, cursor: str | None) -> Iterator[Page[Delivery]]:
    """Pages of `limit` deliveries together, where there are so many; all for None."""
    left = limit
    while left is None or left > 0:
        size = PAGE if left is None else min(PAGE, left)
        page = next(iter(kirim.webhook_deliveries.list(**where, limit=size, cursor=cursor).pages()))
        yield page
        if page.next_cursor is None:
            return
        left, cursor = None if left is None else left - len(page.items), page.next_cursor


def moment_given(written: str | None) -> datetime | None:
    """Raises `Failure` for what is no time."""
    return None if written is None else datetime.fromtimestamp(moment(written, time.time()), UTC)


@deliveries.command(
    "show",
    epilog="Examples:\n\n  kirimhook deliveries show wbd_…\n\n  kirimhook deliveries show wbd_… --json | jq .attempts",
)
def show(
    delivery: DeliveryId,
    url: ApiUrl = None,
    key: ApiKey = None,
    ca_bundle: CaBundle = None,
    as_document: AsJson = False,
) -> None:
    """Show one delivery, with every attempt: when, what came back, and why it went on or ended."""
    wanted = check_id(delivery, ids.DELIVERY)
    found = with_api(url, key, ca_bundle, lambda kirim: kirim.webhook_deliveries.get(wanted))
    if as_document:
        output.document(found.to_json())
    else:
        delivery_shown(found)


@deliveries.command("replay", epilog="Example:\n\n  kirimhook deliveries replay wbd_…")
def replay(
    delivery: DeliveryId,
    url: ApiUrl = None,
    key: ApiKey = None,
    ca_bundle: CaBundle = None,
    as_document: AsJson = False,
) -> None:
    """Send the event of a delivery once more, as a fresh delivery."""
    wanted = check_id(delivery, ids.DELIVERY)
    made = with_api(
        url,
        key,
        ca_bundle,
        lambda kirim: kirim.webhook_deliveries.replay(wanted),
        may_be_done=f"it may be under way all the same: kirimhook deliveries show {wanted}",
    )
    if as_document:
        output.document(made.to_json())
    else:
        output.text(f"{made.id}: {made.status.value}")
