"""Options of `kirimhook sender`, described by the settings they set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kirimhook.cli.addressed import trust
from kirimhook.cli.failure import misuse
from kirimhook.cli.logs import LogLevel
from kirimhook.cli.serving_options import MOST_PROCESSES, SERVING, STORING, WATCHING, WORKING
from kirimhook.settings import SenderSettings, SettingsError, described

_ABOUT = described(SenderSettings)

DATABASE = "sqlite:///kirimhook-sender.db"
DATABASE_VARIABLE = "KIRIMHOOK_DATABASE"
DELIVERING = "How it delivers"


def about(name: str) -> str:
    """The one description that a setting has."""
    return _ABOUT[name][1].about


DatabaseUrl = Annotated[
    str,
    typer.Option(
        "--database",
        envvar=DATABASE_VARIABLE,
        metavar="URL",
        help="sqlite:///file.db, or postgresql://user@host/database.",
        rich_help_panel=STORING,
    ),
]
MasterKeyFile = Annotated[
    Path | None,
    typer.Option(
        "--master-key-file",
        help="What secrets are encrypted under: one key a line, the newest first. Made on first start. Without it: "
        "$KIRIMHOOK_MASTER_KEYS, else a file beside the database.",
        rich_help_panel=STORING,
    ),
]
Host = Annotated[str, typer.Option("--host", help="Where the API listens.", rich_help_panel=SERVING)]
Port = Annotated[int, typer.Option("--port", min=0, max=65_535, help="0: any free port.", rich_help_panel=SERVING)]
NoDashboard = Annotated[
    bool,
    typer.Option(
        "--no-dashboard",
        help="The API alone. Without it, people sign in with an API key at /dashboard of the same port.",
        rich_help_panel=SERVING,
    ),
]
OwnTls = Annotated[
    bool,
    typer.Option(
        "--tls",
        help="HTTPS with a certificate of a development authority, made in ./kirimhook-sender-tls on first start.",
        rich_help_panel=SERVING,
    ),
]
TlsCert = Annotated[
    Path | None, typer.Option("--tls-cert", help="HTTPS with this certificate chain (PEM).", rich_help_panel=SERVING)
]
TlsKey = Annotated[Path | None, typer.Option("--tls-key", help="Its key (PEM).", rich_help_panel=SERVING)]
Catalogue = Annotated[
    Path | None,
    typer.Option(
        "--catalogue",
        help="The event types that exist, one a line. Without it: the six of Kirim.",
        rich_help_panel=STORING,
    ),
]
ApiOnly = Annotated[
    bool, typer.Option("--api-only", help="Accept events; another process delivers them.", rich_help_panel=WORKING)
]
EngineOnly = Annotated[
    bool, typer.Option("--engine-only", help="Deliver what others accepted.", rich_help_panel=WORKING)
]
Processes = Annotated[
    int, typer.Option("--workers", min=1, max=MOST_PROCESSES, help="Processes.", rich_help_panel=WORKING)
]
CaBundle = Annotated[
    Path | None, typer.Option("--ca-bundle", metavar="FILE", help=about("ca_bundle"), rich_help_panel=DELIVERING)
]
AllowNetwork = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-network",
        metavar="CIDR",
        help=f"{about('allow_networks')[:-1]}; several: repeat it.",
        rich_help_panel=DELIVERING,
    ),
]
Schedule = Annotated[
    str | None,
    typer.Option(
        "--schedule",
        metavar="SECONDS",
        help="Seconds before each attempt, the first one first: 0,10,30. Without it: eight attempts over 31 hours.",
        rich_help_panel=DELIVERING,
    ),
]
Drain = Annotated[
    float, typer.Option("--drain", metavar="SECONDS", help=about("drain_timeout"), rich_help_panel=DELIVERING)
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Any other setting, as docs/operating.md lists them: --set disable_after=50; several: repeat it.",
        rich_help_panel=WORKING,
    ),
]
Level = Annotated[
    LogLevel,
    typer.Option(
        "--log-level", help="debug logs every call and every attempt that succeeds.", rich_help_panel=WATCHING
    ),
]
Notify = Annotated[
    str | None,
    typer.Option(
        "--notify",
        metavar="COMMAND|URL",
        help="Told of dead letters and disabled subscriptions, once, in JSON summaries. Give it to every process.",
        rich_help_panel=WATCHING,
    ),
]
NotifyEvery = Annotated[
    float,
    typer.Option("--notify-every", metavar="SECONDS", help=about("notify_every"), rich_help_panel=WATCHING),
]


def sender_settings(
    catalogue: Path | None,
    schedule: str | None,
    ca_bundle: Path | None,
    allow_networks: list[str] | None,
    others: dict[str, object],
) -> SenderSettings:
    """`others` by the names of the settings. Raises `Failure`, naming the option, for a value that cannot be."""
    given: dict[str, object] = {**others, "allow_networks": tuple(allow_networks or ())}
    if schedule is not None:
        given["schedule"] = _seconds(schedule)
    if catalogue is not None:
        given["catalogue"] = _types(catalogue)
    if ca_bundle is not None:
        trust(ca_bundle)
        given["ca_bundle"] = str(ca_bundle.absolute())
    try:
        return SenderSettings(**given)  # type: ignore[arg-type]  # checked there, by type and by range
    except SettingsError as error:
        option = _OPTIONS.get(error.key, f"set {error.key}")
        raise misuse(f"--{option}: {str(error).partition(': ')[2]}") from None


_OPTIONS = {
    "allow_networks": "allow-network",
    "catalogue": "catalogue",
    "drain_timeout": "drain",
    "notify_every": "notify-every",
    "schedule": "schedule",
}


def others_set(written: list[str]) -> dict[str, object]:
    """What `--set` says: whole numbers and numbers, by name. Raises `Failure`."""
    return dict(_set(one) for one in written)


def _set(written: str) -> tuple[str, object]:
    name, equals, value = written.partition("=")
    kind = _ABOUT[name][0] if name in _ABOUT else None
    if not equals or kind not in {int, float}:
        numbers = ", ".join(known for known, (kind, _) in _ABOUT.items() if kind in {int, float})
        raise misuse(f"--set {written!r}: write NAME=VALUE, with one of {numbers}")
    try:
        return name, kind(value)
    except ValueError:
        raise misuse(f"--set {written!r}: {value!r} is no {'whole ' if kind is int else ''}number") from None


def _seconds(written: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in written.split(","))
    except ValueError:
        raise misuse(f"--schedule {written!r}: write seconds with commas between: 0,10,30") from None


def _types(file: Path) -> tuple[str, ...]:
    try:
        lines = [line.partition("#")[0].strip() for line in file.read_text("utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise misuse(f"--catalogue {file}: {getattr(error, 'strerror', None) or 'it is not UTF-8'}") from None
    found = tuple(dict.fromkeys(line for line in lines if line))
    if not found:
        raise misuse(f"--catalogue {file}: it names no event type")
    return found
