"""`kirimhook listen`: local development against the hosted API, or a sender of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kirimhook.cli import serving_options as given
from kirimhook.cli.api_given import ApiKey, ApiUrl, CaBundle
from kirimhook.cli.failure import Failure
from kirimhook.cli.logs import LogLevel, configure

if TYPE_CHECKING:
    from kirimhook.cli.listen.listening import Told

EXAMPLES = """Examples:

  KIRIM_KEY=… kirimhook listen receiver:hooks

  kirimhook listen receiver:hooks --event message.received --json | jq .event_id

  KIRIM_API_URL=http://127.0.0.1:8090 kirimhook listen receiver:hooks    # a sender on this machine: no tunnel

Exit codes: 0 told to stop and did, 1 it could not start or go on, 2 the command line makes no sense, 130 and 143 told
to stop twice."""


def listen(  # noqa: PLR0913  # options
    hooks: given.HooksAt,
    events: Annotated[
        list[str] | None,
        typer.Option("--event", metavar="TYPE", help="An event type; several: repeat it. Without it: all of them."),
    ] = None,
    inbox: Annotated[
        str | None, typer.Option("--inbox", metavar="URL", help="Keep events there. Without it: a temporary one.")
    ] = None,
    port: given.Port = 0,
    through_tunnel: Annotated[
        bool, typer.Option("--tunnel", help="Open a tunnel, also where the API is on this machine.")
    ] = False,
    url: ApiUrl = None,
    key: ApiKey = None,
    ca_bundle: CaBundle = None,
    as_lines: Annotated[
        bool, typer.Option("--json", help="One JSON object on stdout, a line, each time an event changes.")
    ] = False,
    log_format: given.Format = None,
    log_level: given.Level = LogLevel.WARNING,
) -> None:
    """Receive an account's events here while you develop: subscribe, handle them with HOOKS, show them, unsubscribe.

    The API reaches this machine through a tunnel of cloudflared or ngrok, whichever is installed; one on this
    machine needs none. Events of test deliveries are handled too. What a listen that was killed left is removed.
    """
    from kirimhook.cli.listen.running import run

    configure(log_format, log_level)
    told = _told(url, key, ca_bundle, through_tunnel=through_tunnel)
    run(hooks, told._replace(events=events or _all_types(), inbox=inbox or "", port=port), as_lines=as_lines)


def _told(url: str | None, key: str | None, bundle: Path | None, *, through_tunnel: bool) -> Told:
    """Raises `Failure`: also where a tunnel is needed, and none is installed."""
    from kirimhook.cli.api_given import told
    from kirimhook.cli.listen import tunnel
    from kirimhook.cli.listen.listening import Told
    from kirimhook.client.account import account

    client = told(url, key, bundle)
    whose = account(key, url)
    needed = through_tunnel or not tunnel.is_here(whose.url)
    kind = tunnel.installed() if needed else None
    if needed and kind is None:
        raise Failure(tunnel.HOW_TO_INSTALL)
    return Told(whose, client, kind)


def _all_types() -> list[str]:
    from kirimhook.contract import samples

    return sorted({samples.load(name).type for name in samples.names()})
