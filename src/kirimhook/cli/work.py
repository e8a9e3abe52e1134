"""`kirimhook work`: handle what another process receives."""

from __future__ import annotations

from typing import Annotated

import typer

from kirimhook.cli import serving_options as given
from kirimhook.cli.inbox_opened import DEFAULT
from kirimhook.cli.logs import LogLevel, configure

USUAL = given.USUAL
EXAMPLES = """Examples:

  kirimhook serve receiver:hooks --no-worker --inbox sqlite:///inbox.db

  kirimhook work receiver:hooks --inbox sqlite:///inbox.db --concurrency 64

  kirimhook work receiver:hooks --inbox nats://n1.example.com,n2.example.com,n3.example.com/kirim

Exit codes: 0 told to stop and did, 1 it could not start, 2 the command line makes no sense, 130 and 143 told to stop
twice."""


def work(  # noqa: PLR0913  # options
    hooks: given.HooksAt,
    inbox: given.Inbox = DEFAULT,
    dedupe_days: given.DedupeDays = 32,
    payload_days: given.PayloadDays = 7,
    concurrency: given.Concurrency = USUAL.concurrency,
    attempts: given.Attempts = USUAL.attempts,
    handler_timeout: given.HandlerTimeout = USUAL.handler_timeout,
    lease: given.Lease = USUAL.lease,
    drain: given.Drain = USUAL.drain_timeout,
    test_events: given.TestEvents = USUAL.dispatch_test_events,
    admin_port: Annotated[
        int | None,
        typer.Option(
            "--admin-port",
            min=0,
            max=65_535,
            help="Serve /healthz /readyz /metrics /status, and pages at /inbox. 0: any free port.",
            rich_help_panel=given.WATCHING,
        ),
    ] = None,
    admin_host: given.AdminHost = "127.0.0.1",
    admin_token_file: given.AdminTokenFile = None,
    admin_allow_host: given.AdminAllowHost = None,
    no_pages: given.NoPages = False,
    notify: given.Notify = None,
    notify_every: given.NotifyEvery = USUAL.notify_every,
    log_format: given.Format = None,
    log_level: given.Level = LogLevel.INFO,
) -> None:
    """Handle with HOOKS what a `serve` on the same inbox receives. Start as many as you need.

    SIGTERM and SIGINT: let running handlers end, then exit with 0; a second one ends at once (130, 143).
    """
    settings = given.settings_from(
        concurrency=concurrency,
        attempts=attempts,
        handler_timeout=handler_timeout,
        lease=lease,
        drain_timeout=drain,
        dispatch_test_events=test_events,
        notify_every=notify_every,
    )
    from kirimhook.cli.running import run
    from kirimhook.serving.options import Address, Options

    configure(log_format, log_level)
    run(
        lambda: Options(
            inbox=inbox,
            inbox_options={"dedupe_days": dedupe_days, "payload_days": payload_days},
            admin=None if admin_port is None else Address(admin_host, admin_port),
            pages=given.pages_from(admin_token_file, admin_allow_host, no_pages=no_pages),
            settings=settings,
            notify=notify,
        ),
        hooks,
    )
