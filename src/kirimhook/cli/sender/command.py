"""`kirimhook sender`: the API and the engine, in one process or several."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from kirimhook.cli import output
from kirimhook.cli import serving_options as given
from kirimhook.cli.failure import misuse
from kirimhook.cli.logs import LogLevel, configure
from kirimhook.cli.sender import options as own
from kirimhook.cli.sender.tls import certificate
from kirimhook.settings import SenderSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from kirimhook.serving.plan import Service
    from kirimhook.serving.sending.options import SenderOptions

USUAL = SenderSettings()
PORT = 8090
ADMIN_PORT = 9091
EXAMPLES = """Examples:

  kirimhook sender

  kirimhook sender keys create --org acme

  kirimhook sender --port 8443 --tls --ca-bundle ca.pem --allow-network 127.0.0.0/8

  kirimhook migrate --database postgresql://kirim@db/kirim

  kirimhook sender --database postgresql://kirim@db/kirim --master-key-file kirim.key --api-only --workers 2

  kirimhook sender --database postgresql://kirim@db/kirim --master-key-file kirim.key --engine-only --no-admin

Exit codes: 0 told to stop and did, 1 it could not start or go on, 2 the command line makes no sense, 130 and 143 told
to stop twice."""


def sender(  # noqa: PLR0913  # options
    context: typer.Context,
    host: own.Host = "127.0.0.1",
    port: own.Port = PORT,
    no_dashboard: own.NoDashboard = False,
    tls: own.OwnTls = False,
    tls_cert: own.TlsCert = None,
    tls_key: own.TlsKey = None,
    database: own.DatabaseUrl = own.DATABASE,
    master_key_file: own.MasterKeyFile = None,
    catalogue: own.Catalogue = None,
    workers: own.Processes = 1,
    api_only: own.ApiOnly = False,
    engine_only: own.EngineOnly = False,
    others: own.Set = None,
    ca_bundle: own.CaBundle = None,
    allow_network: own.AllowNetwork = None,
    schedule: own.Schedule = None,
    drain: own.Drain = USUAL.drain_timeout,
    notify: own.Notify = None,
    notify_every: own.NotifyEvery = USUAL.notify_every,
    admin_port: given.AdminPort = ADMIN_PORT,
    admin_host: given.AdminHost = "127.0.0.1",
    no_admin: given.NoAdmin = False,
    log_format: given.Format = None,
    log_level: own.Level = LogLevel.INFO,
) -> None:
    """Accept events over an API, deliver them as signed webhooks, and show people what became of them.

    Without options: all in one process, on SQLite in this folder, plain HTTP on this machine only. The dashboard is at
    /dashboard.

    SIGTERM and SIGINT: finish what was begun, then exit with 0; a second one ends at once (130, 143).
    SIGHUP: read the certificate again.
    """
    if context.invoked_subcommand is not None:
        return
    if api_only and engine_only:
        raise misuse("--api-only and --engine-only: give one of them, or neither for both")
    numbers = {"drain_timeout": drain, "notify_every": notify_every, **own.others_set(others or [])}
    settings = own.sender_settings(catalogue, schedule, ca_bundle, allow_network, numbers)
    shown = certificate(tls, tls_cert, tls_key, host)
    configure(log_format, log_level)
    _welcome(database, host, port, secure=shown.tls is not None, api=not engine_only, dashboard=not no_dashboard)
    from kirimhook.serving.options import Address

    _run(
        database=database,
        listen=None if engine_only else Address(host, port),
        tls=shown.tls,
        ca=shown.ca,
        dashboard=not no_dashboard,
        engine=not api_only,
        admin=None if no_admin else Address(admin_host, admin_port),
        processes=workers,
        master_key_file=master_key_file,
        notify=notify,
        settings=settings,
    )


def _run(**given: Any) -> None:
    """With the fields of `SenderOptions`."""
    from kirimhook.cli.running import Program, run_program
    from kirimhook.serving.sending.options import SenderOptions
    from kirimhook.serving.sending.plan import Sending

    def program() -> Program:
        options = SenderOptions(**given)
        return Program(Sending(options), lambda: _load(options))

    run_program(program)


def _load(options: SenderOptions) -> Callable[[], Service]:
    """The API and the engine take a while to import, and a supervisor runs neither."""
    from kirimhook.serving.sending.service import SenderService

    return lambda: SenderService(options)


def _welcome(database: str, host: str, port: int, *, secure: bool, api: bool, dashboard: bool) -> None:
    """The next steps, to somebody who starts it for the first time, on a terminal."""
    file = Path(database.removeprefix("sqlite:///").partition("?")[0])
    if not (api and output.is_terminal() and database.startswith("sqlite:") and not file.exists()):
        return
    url = f"{'https' if secure else 'http'}://{host}:{port or '<port>'}"
    where = "" if database == own.DATABASE else f" --database {database}"
    seen = f"\nOr sign in with that key: {url}/dashboard\n" if dashboard else ""
    output.note(
        f"""A new database is being made. Next, in another terminal:

  export KIRIM_API_URL={url}
  export KIRIM_KEY=$(kirimhook sender keys create --org acme{where})
  curl {url}/v1/webhook_subscriptions -H "Authorization: Bearer $KIRIM_KEY" \\
    -H "Content-Type: application/json" -d '{{"url": "https://…", "events": ["contact.created"]}}'
  kirimhook sender publish --sample contact.created
{seen}"""
    )
