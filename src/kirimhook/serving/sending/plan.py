"""The plan of a sender's processes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import make_url

from kirimhook import __version__
from kirimhook.admin.app import AdminApp
from kirimhook.admin.report import Totals
from kirimhook.serving.listening import address_of, allow_connections, check_certificate, open_socket
from kirimhook.serving.plan import Sockets
from kirimhook.serving.sending.report import SenderFleet, SenderReport
from kirimhook.serving.sending.view import SenderView

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from kirimhook.observe import Observer
    from kirimhook.serving.sending.options import SenderOptions

PLAIN_HINT = "plain HTTP: keys travel in the clear; put a proxy with TLS in front, or give --tls-cert and --tls-key"
ENDING = 5.0
"""Seconds, beside those of the engine's attempts, for what is settled last."""
_LOOPBACK = ("127.", "::1", "localhost")


class Sending:
    """A `Plan`."""

    fleet = SenderFleet

    def __init__(self, options: SenderOptions) -> None:
        self._options = options
        self.processes = options.processes
        self.drain = options.settings.drain_timeout + ENDING
        self.totals = Totals()

    def open_sockets(self) -> Sockets:
        options = self._options
        allow_connections(_connections(options))
        if options.listen is not None and options.tls is not None:
            check_certificate(options.tls)
        public = open_socket(options.listen) if options.listen is not None else None
        return Sockets(public, open_socket(options.admin) if options.admin is not None else None)

    def read_report(self, data: Mapping[str, Any]) -> SenderReport:
        return SenderReport.from_json(data)

    def admin(
        self,
        fleet: Callable[[], Awaitable[SenderFleet]],
        counts: Callable[[], Awaitable[SenderFleet]],  # noqa: ARG002  # the protocol's shape
        service: Any,  # noqa: ARG002  # the protocol's shape
    ) -> AdminApp:
        return AdminApp(fleet, __version__, SenderView())

    def tell_started(self, observer: Observer, sockets: Sockets, service: Any) -> None:  # noqa: ARG002  # the protocol's shape
        options, fields = self._options, dict[str, Any]()
        if sockets.public is not None:
            address, tls = address_of(sockets.public), options.tls is not None
            url = address.url("https" if tls else "http")
            fields |= {"url": url, "tls": tls, "ca": options.ca}
            fields |= {"dashboard": f"{url}/dashboard"} if options.dashboard else {}
            fields |= {"host": address.host, "port": address.port}
            if not tls and not address.host.startswith(_LOOPBACK):
                fields["hint"] = PLAIN_HINT
        if sockets.admin is not None:
            address = address_of(sockets.admin)
            fields |= {"admin_url": address.url("http"), "admin_port": address.port}
        observer.event(
            "sender_started",
            **fields,
            database=shown(options.database),
            processes=options.processes,
            engine=options.engine,
        )

    def tell_stopping(self, observer: Observer, signal: str | None) -> None:
        observer.event("sender_stopping", signal=signal)

    def tell_stopped(self, observer: Observer) -> None:
        observer.event("sender_stopped")


def _connections(options: SenderOptions) -> int:
    """That may be open in one process: clients', and those to endpoints."""
    theirs = options.limits.connections if options.listen is not None else 0
    return theirs + (options.settings.in_flight if options.engine else 0)


def shown(database: str) -> str:
    """The URL as it may be shown and used from anywhere: without a password, a file with its whole path."""
    url = make_url(database)
    if url.get_backend_name() == "sqlite" and url.database:
        url = url.set(database=str(Path(url.database).absolute()))
    return url.render_as_string(hide_password=True)
