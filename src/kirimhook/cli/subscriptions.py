"""`kirimhook subscriptions`: who wants which events, and where."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from kirimhook.cli import output, secret_kept, subscription_tried
from kirimhook.cli.api_given import ApiKey, ApiUrl, CaBundle, check_id, with_api
from kirimhook.cli.failure import Failure, misuse
from kirimhook.cli.resources_shown import (
    SUBSCRIPTION_COLUMNS,
    SUBSCRIPTION_LONG,
    subscription_pairs,
    subscription_row,
    without_secret,
)
from kirimhook.cli.secret_kept import SecretsFileOption
from kirimhook.contract import ids

if TYPE_CHECKING:
    from kirimhook.client import Kirim
    from kirimhook.contract.resources import Subscription

subscriptions = typer.Typer(
    help="Subscribe to webhooks, and change, try or end a subscription.",
    no_args_is_help=True,
    epilog="Exit codes: 0 done, 1 the API refused it or did not answer, 2 the command line makes no sense.",
)


SubscriptionId = Annotated[str, typer.Argument(help="Its id, as `subscriptions list` shows it.", metavar="wbs_…")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]


@subscriptions.command(
    "list",
    epilog="Examples:\n\n  kirimhook subscriptions list\n\n  kirimhook subscriptions list --json | jq -r .id",
)
def list_subscriptions(
    url: ApiUrl = None,
    key: ApiKey = None,
    ca_bundle: CaBundle = None,
    as_lines: Annotated[bool, typer.Option("--json", help="One JSON object a line on stdout.")] = False,
) -> None:
    """List the subscriptions, newest first."""
    found = with_api(url, key, ca_bundle, lambda kirim: list(kirim.webhook_subscriptions.list()))
    if as_lines:
        for one in found:
            output.line(without_secret(one))
    else:
        output.table(SUBSCRIPTION_COLUMNS, [subscription_row(one) for one in found], SUBSCRIPTION_LONG)


@subscriptions.command("show", epilog="Example:\n\n  kirimhook subscriptions show wbs_…")
def show(
    subscription: SubscriptionId,
    url: ApiUrl = None,
    key: ApiKey = None,
    ca_bundle: CaBundle = None,
    as_document: AsJson = False,
) -> None:
    """Show one subscription, with the ids of its secrets."""
    wanted = check_id(subscription, ids.SUBSCRIPTION)
    _show(with_api(url, key, ca_bundle, lambda kirim: kirim.webhook_subscriptions.get(wanted)), as_document)


@subscriptions.command(
    "create",
    epilog="Examples:\n\n  kirimhook subscriptions create --url https://your-server.example.com/kirim-webhook"
    " --event message.received --event message.status --secrets-file secrets.txt\n\n"
    "  kirimhook subscriptions create --url https://… --event contact.created --json | jq -r .initial_secret",
)
def create(  # noqa: PLR0913  # options
    endpoint: Annotated[str, typer.Option("--url", metavar="URL", help="Where to deliver: https://….")],
    events: Annotated[list[str], typer.Option("--event", metavar="TYPE", help="An event type; several: repeat it.")],
    description: Annotated[str | None, typer.Option("--description", metavar="TEXT", help="For people.")] = None,
    secrets_file: SecretsFileOption = None,
    url: ApiUrl = None,
    key: ApiKey = None,
    ca_bundle: CaBundle = None,
    as_document: AsJson = False,
) -> None:
    """Subscribe to events. The secret that deliveries are signed with goes into --secrets-file, or is shown this once.

    That the file can be written is checked first.
    """
    secret_kept.check(secrets_file)
    made = with_api(
        url,
        key,
        ca_bundle,
        lambda kirim: kirim.webhook_subscriptions.create(url=endpoint, events=events, description=description),
        may_be_done="it may be there all the same: kirimhook subscriptions list",
    )
    if made.initial_secret is None:
        raise Failure(f"{made.id} was created, and the API did not say its secret: kirimhook secrets add {made.id}")
    if secrets_file is not None:
        secret_kept.keep(secrets_file, made.initial_secret, made.id, made.secrets[0].id if made.secrets else "")
    elif as_document:
        output.document({"initial_secret": made.initial_secret.reveal(), **without_secret(made)})
        secret_kept.warn()
        return
    _show(made, as_document)
    if secrets_file is None:
        output.text(f"secret: {made.initial_secret.reveal()}")
        secret_kept.warn()
    else:
        output.note(f"its secret is in {secrets_file}")


@subscriptions.command(
    "update",
    epilog="Examples:\n\n  kirimhook subscriptions update wbs_… --url https://new.example.com/kirim-webhook\n\n"
    "  kirimhook subscriptions update wbs_… --event message.received --event message.status",
)
def update(  # noqa: PLR0913  # options
    subscription: SubscriptionId,
    endpoint: Annotated[str | None, typer.Option("--url", metavar="URL", help="Deliver there.")] = None,
    events: Annotated[
        list[str] | None,
        typer.Option("--event", metavar="TYPE", help="An event type; several: repeat it. They replace those it had."),
    ] = None,
    description: Annotated[
        str | None, typer.Option("--description", metavar="TEXT", help='For people; "" takes it away.')
    ] = None,
    url: ApiUrl = None,
    key: ApiKey = None,
    ca_bundle: CaBundle = None,
    as_document: AsJson = False,
) -> None:
    """Change where a subscription delivers, what, or how it is described. What is not given stays."""
    from kirimhook.client import UNSET

    wanted = check_id(subscription, ids.SUBSCRIPTION)
    if endpoint is None and not events and description is None:
        raise misuse("what to change: --url, --event or --description")
    changed = with_api(
        url,
        key,
        ca_bundle,
        lambda kirim: kirim.webhook_subscriptions.update(
            wanted,
            url=UNSET if endpoint is None else endpoint,
            events=events or UNSET,
            description=UNSET if description is None else description or None,
        ),
    )
    _show(changed, as_document)


@subscriptions.command(
    "enable",
    epilog="Examples:\n\n  kirimhook subscriptions enable wbs_…\n\n"
    "  kirimhook subscriptions enable wbs_… --discard-held",
)
def enable(
    subscription: SubscriptionId,
    discard_held: Annotated[
        bool,
        typer.Option("--discard-held", help="Give up the deliveries it held; they become dead letters. Ours only."),
    ] = False,
    url: ApiUrl = None,
    key: ApiKey = None,
    ca_bundle: CaBundle = None,
    as_document: AsJson = False,
) -> None:
    """Deliver again; failures until now are forgotten. What was held meanwhile is delivered behind live traffic."""
    from kirimhook.client import UNSET

    wanted = check_id(subscription, ids.SUBSCRIPTION)
    changed = with_api(
        url,
        key,
        ca_bundle,
        lambda kirim: kirim.webhook_subscriptions.update(
            wanted, status="active", held="discard" if discard_held else UNSET
        ),
    )
    _show(changed, as_document)


@subscriptions.command("disable", epilog="Example:\n\n  kirimhook subscriptions disable wbs_…")
def disable(
    subscription: SubscriptionId,
    url: ApiUrl = None,
    key: ApiKey = None,
    ca_bundle: CaBundle = None,
    as_document: AsJson = False,
) -> None:
    """Deliver nothing until `enable`. Our sender holds what is published meanwhile."""
    wanted = check_id(subscription, ids.SUBSCRIPTION)
    changed = with_api(url, key, ca_bundle, lambda kirim: kirim.webhook_subscriptions.update(wanted, status="disabled"))
    _show(changed, as_document)


@subscriptions.command("delete", epilog="Example:\n\n  kirimhook subscriptions delete wbs_… --yes")
def delete(
    subscription: SubscriptionId,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    url: ApiUrl = None,
    key: ApiKey = None,
    ca_bundle: CaBundle = None,
    as_document: AsJson = False,
) -> None:
    """End a subscription for good. What it has not delivered yet becomes dead letters that cannot be replayed."""
    wanted = check_id(subscription, ids.SUBSCRIPTION)
    with_api(url, key, ca_bundle, lambda kirim: _delete(kirim, wanted, yes))
    if as_document:
        output.document({"id": wanted, "deleted": True})
    else:
        output.text(f"{wanted} is deleted")


subscriptions.command("test", epilog=subscription_tried.EXAMPLES)(subscription_tried.send_test)


def _delete(kirim: Kirim, subscription: str, yes: bool) -> None:
    if not yes:
        if not output.is_terminal():
            raise misuse("off a terminal this needs --yes")
        found = kirim.webhook_subscriptions.get(subscription)
        if not typer.confirm(f"Delete {subscription}, which delivers to {output.printable(found.url)}?", err=True):
            raise Failure("nothing was deleted")
    kirim.webhook_subscriptions.delete(subscription)


def _show(one: Subscription, as_document: bool) -> None:
    if as_document:
        output.document(without_secret(one))
    else:
        subscription_pairs(one)
