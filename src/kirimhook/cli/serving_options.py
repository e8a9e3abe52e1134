"""Options that `serve` and `work` share, described by the settings they set."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kirimhook.cli.failure import misuse
from kirimhook.cli.inbox_opened import ABOUT, VARIABLE
from kirimhook.cli.logs import LogFormat, LogLevel
from kirimhook.contract.events import Identity
from kirimhook.settings import ReceiverSettings, SettingsError, described

if TYPE_CHECKING:
    from kirimhook.serving.options import PagesOptions

USUAL = ReceiverSettings()
_ABOUT = described(ReceiverSettings)

MOST_PROCESSES = 64
SERVING = "Where it listens"
STORING = "What it keeps"
WORKING = "How it works"
WATCHING = "How it is watched"


def about(name: str) -> str:
    """The one description that a setting has."""
    return _ABOUT[name][1].about


HooksAt = Annotated[
    str, typer.Argument(help="Your handlers: module:attribute, from the working folder.", metavar="HOOKS")
]
Host = Annotated[str, typer.Option("--host", rich_help_panel=SERVING)]
Port = Annotated[int, typer.Option("--port", min=0, max=65_535, help="0: any free port.", rich_help_panel=SERVING)]
UrlPath = Annotated[str, typer.Option("--path", help="Everything else is 404.", rich_help_panel=SERVING)]
TlsCert = Annotated[
    Path | None,
    typer.Option("--tls-cert", help="Certificate chain (PEM). Without it: plain HTTP.", rich_help_panel=SERVING),
]
TlsKey = Annotated[Path | None, typer.Option("--tls-key", help="Its key (PEM).", rich_help_panel=SERVING)]
Processes = Annotated[
    int,
    typer.Option(
        "--workers", min=1, max=MOST_PROCESSES, help="Processes that receive and handle.", rich_help_panel=WORKING
    ),
]
NoWorker = Annotated[bool, typer.Option("--no-worker", help="Receive and store only.", rich_help_panel=WORKING)]
Inbox = Annotated[
    str,
    typer.Option("--inbox", envvar=VARIABLE, metavar="URL", help=ABOUT, rich_help_panel=STORING),
]
SecretsFile = Annotated[
    Path | None,
    typer.Option(
        "--secrets-file",
        help="One secret a line; read again when it changes, and on SIGHUP. Without it: $KIRIM_WEBHOOK_SECRETS.",
        rich_help_panel=SERVING,
    ),
]
DedupeDays = Annotated[
    float,
    typer.Option("--dedupe-days", help="How long an event is remembered; at least 7.", rich_help_panel=STORING),
]
PayloadDays = Annotated[
    float,
    typer.Option(
        "--payload-days",
        help="How long the body of a finished event is kept; on NATS as long as the event.",
        rich_help_panel=STORING,
    ),
]
IdentityMode = Annotated[Identity, typer.Option("--identity", help=about("identity"), rich_help_panel=STORING)]
MaxBody = Annotated[int, typer.Option("--max-body", metavar="BYTES", help=about("max_body"), rich_help_panel=SERVING)]
Concurrency = Annotated[int, typer.Option("--concurrency", help=about("concurrency"), rich_help_panel=WORKING)]
Attempts = Annotated[int, typer.Option("--attempts", help=about("attempts"), rich_help_panel=WORKING)]
HandlerTimeout = Annotated[
    float,
    typer.Option("--handler-timeout", metavar="SECONDS", help=about("handler_timeout"), rich_help_panel=WORKING),
]
Lease = Annotated[float, typer.Option("--lease", metavar="SECONDS", help=about("lease"), rich_help_panel=WORKING)]
Drain = Annotated[
    float, typer.Option("--drain", metavar="SECONDS", help=about("drain_timeout"), rich_help_panel=WORKING)
]
TestEvents = Annotated[bool, typer.Option("--test-events", help=about("dispatch_test_events"), rich_help_panel=WORKING)]
AdminPort = Annotated[
    int,
    typer.Option(
        "--admin-port",
        min=0,
        max=65_535,
        help="/healthz /readyz /metrics /status, and pages at /inbox. 0: any free port.",
        rich_help_panel=WATCHING,
    ),
]
AdminHost = Annotated[
    str, typer.Option("--admin-host", help="Keep it private: only its pages ask for a token.", rich_help_panel=WATCHING)
]
AdminTokenFile = Annotated[
    Path | None,
    typer.Option(
        "--admin-token-file",
        help="What the admin port's pages ask for; or $KIRIMHOOK_ADMIN_TOKEN. Needed where it is not on loopback.",
        rich_help_panel=WATCHING,
    ),
]
AdminAllowHost = Annotated[
    list[str] | None,
    typer.Option(
        "--admin-allow-host",
        metavar="NAME",
        help="A name of this machine that its pages may be asked for by, without a token; repeat it.",
        rich_help_panel=WATCHING,
    ),
]
NoPages = Annotated[bool, typer.Option("--no-pages", help="No pages on the admin port.", rich_help_panel=WATCHING)]
NoAdmin = Annotated[bool, typer.Option("--no-admin", help="No admin port.", rich_help_panel=WATCHING)]
Notify = Annotated[
    str | None,
    typer.Option(
        "--notify",
        metavar="COMMAND|URL",
        help="Told of parked events, once, in JSON summaries. Give it to every process.",
        rich_help_panel=WATCHING,
    ),
]
NotifyEvery = Annotated[
    float,
    typer.Option("--notify-every", metavar="SECONDS", help=about("notify_every"), rich_help_panel=WATCHING),
]
Format = Annotated[
    LogFormat | None,
    typer.Option(
        "--log-format", help="On stderr; without it: console on a terminal, else json.", rich_help_panel=WATCHING
    ),
]
Level = Annotated[
    LogLevel,
    typer.Option("--log-level", help="debug logs every ack and every handled event.", rich_help_panel=WATCHING),
]


def pages_from(token_file: Path | None, hosts: list[str] | None, *, no_pages: bool) -> PagesOptions | None:
    """Raises `OptionsError` for a token that cannot be read, or that is too short."""
    from kirimhook.serving.options import PagesOptions, read_token

    return None if no_pages else PagesOptions(read_token(token_file, os.environ), tuple(hosts or ()))


def settings_from(**given: object) -> ReceiverSettings:
    """Raises `Failure`, naming the setting, for a value that it cannot have."""
    try:
        return ReceiverSettings(**given)  # type: ignore[arg-type]  # checked there, by type and by range
    except SettingsError as error:
        raise misuse(str(error)) from None
