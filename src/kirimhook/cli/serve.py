"""`kirimhook serve`: receive webhooks and handle them, in one process or several."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kirimhook.cli import serving_options as given
from kirimhook.cli.failure import misuse
from kirimhook.cli.inbox_opened import DEFAULT
from kirimhook.cli.logs import LogLevel, configure

if TYPE_CHECKING:
    from kirimhook.serving.server import Tls

USUAL = given.USUAL


EXAMPLES = """Examples:

  KIRIM_WEBHOOK_SECRETS=whsec_… kirimhook serve receiver:hooks

  kirimhook serve receiver:hooks --port 8443 --tls-cert server.pem --tls-key server.key --secrets-file secrets.txt

  kirimhook serve app.webhooks:hooks --workers 4 --inbox sqlite:////var/lib/kirim/inbox.db --log-format json

  kirimhook serve receiver:hooks --no-worker --inbox postgresql://kirim@db.example.com/kirim

An inbox on PostgreSQL or NATS is made by kirimhook migrate --inbox URL. While its servers are away: 503.

Exit codes: 0 told to stop and did, 1 it could not start or go on, 2 the command line makes no sense, 130 and 143 told
to stop twice."""


def serve(  # noqa: PLR0913  # options
    hooks: given.HooksAt,
    host: given.Host = "127.0.0.1",
    port: given.Port = 8080,
    path: given.UrlPath = "/kirim-webhook",
    tls_cert: given.TlsCert = None,
    tls_key: given.TlsKey = None,
    secrets_file: given.SecretsFile = None,
    max_body: given.MaxBody = USUAL.max_body,
    inbox: given.Inbox = DEFAULT,
    dedupe_days: given.DedupeDays = 32,
    payload_days: given.PayloadDays = 7,
    identity: given.IdentityMode = USUAL.identity,
    workers: given.Processes = 1,
    no_worker: given.NoWorker = False,
    concurrency: given.Concurrency = USUAL.concurrency,
    attempts: given.Attempts = USUAL.attempts,
    handler_timeout: given.HandlerTimeout = USUAL.handler_timeout,
    lease: given.Lease = USUAL.lease,
    drain: given.Drain = USUAL.drain_timeout,
    test_events: given.TestEvents = USUAL.dispatch_test_events,
    admin_port: given.AdminPort = 9090,
    admin_host: given.AdminHost = "127.0.0.1",
    no_admin: given.NoAdmin = False,
    admin_token_file: given.AdminTokenFile = None,
    admin_allow_host: given.AdminAllowHost = None,
    no_pages: given.NoPages = False,
    notify: given.Notify = None,
    notify_every: given.NotifyEvery = USUAL.notify_every,
    log_format: given.Format = None,
    log_level: given.Level = LogLevel.INFO,
) -> None:
    """Receive webhooks: verify, store, acknowledge, then handle them with HOOKS.

    SIGTERM and SIGINT: finish what was begun, then exit with 0; a second one ends at once (130, 143).
    SIGHUP: read the secrets and the certificate again.
    """
    times = {"handler_timeout": handler_timeout, "lease": lease, "drain_timeout": drain, "notify_every": notify_every}
    bounds = {"max_body": max_body, "concurrency": concurrency, "attempts": attempts}
    settings = given.settings_from(identity=identity, dispatch_test_events=test_events, **times, **bounds)
    from kirimhook.cli.running import run
    from kirimhook.serving.options import Address, Listen, Options

    tls = _tls(tls_cert, tls_key)
    configure(log_format, log_level)
    run(
        lambda: Options(
            inbox,
            {"dedupe_days": dedupe_days, "payload_days": payload_days},
            listen=Listen(Address(host, port), path, tls),
            work=not no_worker,
            secrets_file=secrets_file,
            admin=None if no_admin else Address(admin_host, admin_port),
            pages=given.pages_from(admin_token_file, admin_allow_host, no_pages=no_pages),
            processes=workers,
            settings=settings,
            notify=notify,
        ),
        hooks,
    )


def _tls(certificate: Path | None, key: Path | None) -> Tls | None:
    from kirimhook.serving.server import Tls

    if (certificate is None) != (key is None):
        raise misuse("--tls-cert and --tls-key go together")
    return Tls(certificate, key) if certificate is not None and key is not None else None
