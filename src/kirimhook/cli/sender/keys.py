"""`kirimhook sender keys`: who may use the API."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kirimhook.cli import output
from kirimhook.cli.sender.options import DATABASE, DatabaseUrl

if TYPE_CHECKING:
    from kirimhook.sender.service import KeyInfo

keys = typer.Typer(
    help="Make, list and revoke the keys of the API.",
    no_args_is_help=True,
    epilog="Exit codes: 0 done, 1 no such organisation or key, or the database cannot be used, 2 the command line makes"
    " no sense.",
)
COLUMNS = ("ID", "KEY", "CREATED", "EXPIRES", "REVOKED")

Organisation = Annotated[str, typer.Option("--org", metavar="NAME", help="The organisation.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]
AsLines = Annotated[bool, typer.Option("--json", help="One JSON object a line on stdout.")]


@keys.command(
    "create",
    epilog="Examples:\n\n  export KIRIM_KEY=$(kirimhook sender keys create --org acme)\n\n"
    "  kirimhook sender keys create --org acme --expires-in-days 90 --json | jq -r .key",
)
def create(
    organisation: Organisation,
    database: DatabaseUrl = DATABASE,
    expires_in_days: Annotated[
        float | None, typer.Option("--expires-in-days", min=0.0001, max=36_500, help="Without it: never.")
    ] = None,
    as_document: AsJson = False,
) -> None:
    """Make a key for an organisation, which is made with its first one.

    The key alone is written on stdout, this once: only its hash is stored.
    """
    from kirimhook.cli.sender.opened import with_sender

    expires = None if expires_in_days is None else datetime.now(UTC) + timedelta(days=expires_in_days)
    made = with_sender(database, lambda sender: sender.create_organisation_key(organisation, expires))
    if as_document:
        shown = made.to_json()
        output.document({"key": made.key.reveal(), **{name: shown[name] for name in shown if name != "key"}})
    else:
        output.text(made.key.reveal())
        output.note("keep it: only its hash is stored, and nobody can show it again")


@keys.command("list", epilog="Example:\n\n  kirimhook sender keys list --org acme --json | jq .id")
def list_keys(organisation: Organisation, database: DatabaseUrl = DATABASE, as_lines: AsLines = False) -> None:
    """List the keys of an organisation, newest first: never a whole one."""
    from kirimhook.cli.sender.opened import with_sender

    found = with_sender(database, lambda sender: sender.list_keys(organisation))
    if as_lines:
        for key in found:
            output.line(key.to_json())
    else:
        output.table(COLUMNS, [_row(key) for key in found])


def _row(key: KeyInfo) -> tuple[Any, ...]:
    shown = key.to_json()
    return shown["id"], f"{key.first}…{key.last}", shown["created_at"], shown["expires_at"], shown["revoked_at"]


@keys.command("revoke", epilog="Example:\n\n  kirimhook sender keys revoke KEY_ID --org acme")
def revoke(
    key_id: Annotated[str, typer.Argument(help="Its id, as `keys list` shows it.", metavar="KEY_ID")],
    organisation: Organisation,
    database: DatabaseUrl = DATABASE,
    as_document: AsJson = False,
) -> None:
    """Refuse a key from now on, in every process within two seconds. Exit code 1: there is no such key."""
    from kirimhook.cli.sender.opened import with_sender

    revoked = with_sender(database, lambda sender: sender.revoke_key(organisation, key_id))
    if as_document:
        output.document(revoked.to_json())
    else:
        output.text(f"{revoked.first}…{revoked.last} is revoked")
