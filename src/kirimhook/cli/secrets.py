"""`kirimhook secrets`: what the deliveries of a subscription are signed with."""

from __future__ import annotations

from typing import Annotated

import typer

from kirimhook.cli import output, secret_kept
from kirimhook.cli.api_given import ApiKey, ApiUrl, CaBundle, check_id, with_api
from kirimhook.cli.failure import Failure, misuse
from kirimhook.cli.resources_shown import SECRET_COLUMNS, secret_row, when
from kirimhook.cli.secret_kept import SecretsFileOption
from kirimhook.contract import ids

secrets = typer.Typer(
    help="List, add and remove the secrets that deliveries are signed with. `kirimhook rotate` does it all in one.",
    no_args_is_help=True,
    epilog="Exit codes: 0 done, 1 the API refused it or did not answer, 2 the command line makes no sense.",
)

SubscriptionId = Annotated[str, typer.Argument(help="The subscription.", metavar="wbs_…")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]


@secrets.command(
    "list", epilog="Examples:\n\n  kirimhook secrets list wbs_…\n\n  kirimhook secrets list wbs_… --json | jq -r .id"
)
def list_secrets(
    subscription: SubscriptionId,
    url: ApiUrl = None,
    key: ApiKey = None,
    ca_bundle: CaBundle = None,
    as_lines: Annotated[bool, typer.Option("--json", help="One JSON object a line on stdout.")] = False,
) -> None:
    """List the secrets of a subscription: never their values."""
    wanted = check_id(subscription, ids.SUBSCRIPTION)
    found = with_api(url, key, ca_bundle, lambda kirim: kirim.webhook_subscriptions.get(wanted)).secrets
    if as_lines:
        for one in found:
            output.line(one.to_json())
    else:
        output.table(SECRET_COLUMNS, [secret_row(one) for one in found])


@secrets.command(
    "add",
    epilog="Examples:\n\n  kirimhook secrets add wbs_… --secrets-file secrets.txt\n\n"
    "  kirimhook secrets add wbs_… --json | jq -r .secret",
)
def add(  # noqa: PLR0913  # options
    subscription: SubscriptionId,
    expires_in_hours: Annotated[
        float | None,
        typer.Option("--expires-in-hours", min=0.001, help="Of the new secret. Without it: until it is removed."),
    ] = None,
    secrets_file: SecretsFileOption = None,
    url: ApiUrl = None,
    key: ApiKey = None,
    ca_bundle: CaBundle = None,
    as_document: AsJson = False,
) -> None:
    """Sign with one more secret from now on. It goes into --secrets-file, or is shown this once.

    That the file can be written is checked first.
    """
    wanted = check_id(subscription, ids.SUBSCRIPTION)
    secret_kept.check(secrets_file)
    made = with_api(
        url,
        key,
        ca_bundle,
        lambda kirim: kirim.webhook_subscriptions.secrets.create(wanted, expires_in_hours=expires_in_hours),
        may_be_done=f"it may be there all the same: kirimhook secrets list {wanted}",
    )
    if secrets_file is not None:
        secret_kept.keep(secrets_file, made.secret, wanted, made.id)
    shown = {name: value for name, value in made.to_json().items() if name != "secret" or secrets_file is None}
    if as_document:
        output.document(shown)
    else:
        expires = f", expires {when(made.expires_at)}" if made.expires_at else ""
        output.text(f"{made.id}{expires}" + (f"\nsecret: {made.secret.reveal()}" if secrets_file is None else ""))
    if secrets_file is None:
        secret_kept.warn()
    else:
        output.note(f"it is in {secrets_file}")


@secrets.command("remove", epilog="Example:\n\n  kirimhook secrets remove wbs_… sec_… --yes")
def remove(  # noqa: PLR0913  # options
    subscription: SubscriptionId,
    secret: Annotated[str, typer.Argument(help="The secret's id, as `secrets list` shows it.", metavar="sec_…")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    url: ApiUrl = None,
    key: ApiKey = None,
    ca_bundle: CaBundle = None,
    as_document: AsJson = False,
) -> None:
    """Sign with a secret no more. Receivers that know no other one of the subscription refuse what comes then."""
    wanted, removed = check_id(subscription, ids.SUBSCRIPTION), check_id(secret, ids.SECRET)
    if not yes:
        _ask(removed)
    with_api(url, key, ca_bundle, lambda kirim: kirim.webhook_subscriptions.secrets.delete(wanted, removed))
    if as_document:
        output.document({"id": removed, "subscription_id": wanted, "deleted": True})
    else:
        output.text(f"{removed} is removed: take it out of the receivers' lists")


def _ask(secret: str) -> None:
    if not output.is_terminal():
        raise misuse("off a terminal this needs --yes")
    if not typer.confirm(f"Remove {secret}? Does every receiver verify with another one?", err=True):
        raise Failure("nothing was removed")
