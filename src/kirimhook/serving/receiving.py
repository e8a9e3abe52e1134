"""What `serve` and `work` run: the plan of a receiver's processes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kirimhook import __version__
from kirimhook.receiver.admin.app import AdminApp
from kirimhook.receiver.admin.report import Fleet, ProcessReport, Totals
from kirimhook.receiver.pages.loopback import is_loopback
from kirimhook.serving.listening import address_of, allow_connections, check_certificate, open_socket
from kirimhook.serving.pages import PREFIX, AdminPages, is_installed
from kirimhook.serving.plan import Sockets

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from kirimhook.observe import Observer
    from kirimhook.serving.options import Options
    from kirimhook.serving.service import Service

TOKEN_HINT = "the pages of an admin port that is not on loopback ask for a token: give --admin-token-file"  # noqa: S105  # words about it
PLAIN_HINT = "plain HTTP: put a proxy with TLS in front, or give --tls-cert and --tls-key"


class Receiving:
    """A `Plan`."""

    fleet = Fleet

    def __init__(self, options: Options) -> None:
        self._options = options
        self.processes = options.processes
        self.drain = options.settings.drain_timeout
        self.totals = Totals()

    def open_sockets(self) -> Sockets:
        options = self._options
        if options.listen is not None:
            allow_connections(options.limits.connections)
            if options.listen.tls is not None:
                check_certificate(options.listen.tls)
        public = open_socket(options.listen.address) if options.listen is not None else None
        return Sockets(public, open_socket(options.admin) if options.admin is not None else None)

    def read_report(self, data: Mapping[str, Any]) -> ProcessReport:
        return ProcessReport.from_json(data)

    def admin(
        self,
        fleet: Callable[[], Awaitable[Fleet]],
        counts: Callable[[], Awaitable[Fleet]],
        service: Service | None,
    ) -> AdminApp:
        """With pages over the inbox of `service`, or over a handle of their own."""
        options = self._options
        if options.admin is None or options.pages is None:
            return AdminApp(fleet, __version__)
        inbox = service.inbox if service is not None else None
        return AdminApp(fleet, __version__, AdminPages(options, options.admin, fleet, counts, inbox))

    def tell_started(self, observer: Observer, sockets: Sockets, service: Service | None) -> None:
        options, fields = self._options, dict[str, Any]()
        hints = [service.hint] if service is not None and service.hint else []
        if options.listen is not None and sockets.public is not None:
            address, tls = address_of(sockets.public), options.listen.tls is not None
            fields |= {"url": address.url("https" if tls else "http", options.listen.path), "tls": tls}
            fields |= {"host": address.host, "port": address.port, "path": options.listen.path}
            hints += [] if tls else [PLAIN_HINT]
        if sockets.admin is not None:
            address = address_of(sockets.admin)
            fields |= {"admin_url": address.url("http"), "admin_port": address.port}
            if options.pages is not None and is_installed():
                fields["pages_url"] = address.url("http", PREFIX)
                hints += [] if options.pages.token or is_loopback(address.host) else [TOKEN_HINT]
        fields |= {"processes": options.processes, "worker": options.work}
        observer.event("serve_started", **fields, hint="; ".join(hints) or None)

    def tell_stopping(self, observer: Observer, signal: str | None) -> None:
        observer.event("serve_stopping", signal=signal)

    def tell_stopped(self, observer: Observer) -> None:
        observer.event("serve_stopped")
