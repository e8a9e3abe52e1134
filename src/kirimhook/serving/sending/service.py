"""What one process of a sender runs: the API on its socket, the engine, and the database between them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from kirimhook.contract.errors import ApiError
from kirimhook.observe import Meter, Observer
from kirimhook.sender.database import StorageUnavailable, open_database
from kirimhook.sender.engine import Notifier
from kirimhook.sender.sealing import MasterKeyError
from kirimhook.sender.service import Sender
from kirimhook.sender.service.context import nobody
from kirimhook.sender.transport import BadUrl, SystemResolver, check, networks
from kirimhook.serving.listening import Listener
from kirimhook.serving.options import ServeError
from kirimhook.serving.sending.delivering import Delivering
from kirimhook.serving.sending.reporter import Reporter
from kirimhook.serving.sending.storing import open_up_to_date, sealer_of
from kirimhook.serving.server import Server, make_config
from kirimhook.telling.tellers import teller_of

if TYPE_CHECKING:
    import socket

    from kirimhook.sender.service.replaying import Replaying
    from kirimhook.serving.sending.options import SenderOptions
    from kirimhook.serving.sending.public import Public
    from kirimhook.serving.sending.report import SenderReport


class SenderService:
    """Start once, stop once, on one event loop."""

    def __init__(self, options: SenderOptions) -> None:
        """Raises `ServeError` for a master key that cannot be."""
        self._options = options
        self._meter = Meter()
        self.observer = Observer()
        self._database = open_database(options.database)
        self._sealer = sealer_of(options)
        self._resolver: SystemResolver | None = None
        self._delivering: Delivering | None = None
        self._listener: Listener | None = None
        self._public: Public | None = None
        self._notifying: asyncio.Task[None] | None = None
        self._replaying: Replaying | None = None
        self._reporter = Reporter(
            self._database, self._meter, serves=options.listen is not None, delivers=options.engine
        )

    async def start(self, bound: socket.socket | None) -> None:
        """Deliver, and answer the API on `bound`. Raises `ServeError`; then nothing runs."""
        try:
            await self._start(bound)
        except BaseException:
            await self.stop()
            raise

    async def _start(self, bound: socket.socket | None) -> None:
        options = self._options
        await open_up_to_date(self._database, options.database, self.observer)
        if options.engine:
            self._delivering = Delivering(options, self._database, self._sealer, self._meter, self.observer)
        self._replaying = (sender := self._sender()).replaying
        try:
            await sender.check_master_key()
        except MasterKeyError as error:
            raise ServeError(f"the master key: {error}") from error
        except StorageUnavailable as error:
            raise ServeError(f"the database cannot be used: {error}") from error
        if self._delivering is not None:
            await self._delivering.start(sender)
            self._reporter.engine_failed = self._delivering.failed
        if options.notify is not None:  # whoever writes down what to tell also tells it: one that serves only, too
            self._notifying = asyncio.create_task(self._notifier(options.notify).run())
        if bound is not None:
            self._listener = Listener(self._make_server(sender))
            await self._listener.start(bound)

    async def stop(self) -> None:
        """Answer what was accepted, let attempts end within their bound, give back what was not begun."""
        await asyncio.gather(self._stop_listening(), self._stop_delivering())
        if self._notifying is not None:
            self._notifying.cancel()
            await asyncio.wait({self._notifying})
        if self._replaying is not None:
            await self._replaying.stop()
        if self._resolver is not None:
            await self._resolver.close()
        await self._database.close()

    async def refresh(self) -> None:
        """Read the certificate anew. What cannot be read changes nothing."""
        tls = self._options.tls
        if self._listener is None or tls is None:
            return
        try:
            await asyncio.to_thread(self._listener.reload_certificate, tls)
        except ServeError as error:
            self.observer.event("certificate_kept", problem=str(error))
        else:
            self.observer.event("certificate_loaded", certificate=str(tls.certificate))

    async def report(self) -> SenderReport:
        return await self._reporter.report()

    async def counts(self) -> SenderReport:
        return await self.report()  # nobody asks a sender for less

    async def _stop_listening(self) -> None:
        if self._public is not None:  # live pages would keep the server waiting until its bound
            self._public.close()
        if self._listener is not None:
            await self._listener.stop()

    async def _stop_delivering(self) -> None:
        if self._delivering is not None:
            await self._delivering.stop()

    def _sender(self) -> Sender:
        settings, delivering = self._options.settings, self._delivering
        allowed = networks(settings.allow_networks)
        self._resolver = resolver = SystemResolver()

        async def check_url(url: str) -> None:
            try:
                await check(url, resolver, allowed)
            except BadUrl as error:
                raise ApiError("invalid_webhook_url", f"The URL {error}.", param="url") from None

        return Sender(
            self._database,
            settings,
            self._sealer,
            check_url=check_url,
            published=nobody if delivering is None else delivering.wake,
            notify=self._options.notify is not None,
        )

    def _notifier(self, whom: str) -> Notifier:
        every = self._options.settings.notify_every
        return Notifier(self._database, teller_of(whom), every=every, observer=self.observer, meter=self._meter)

    def _make_server(self, sender: Sender) -> Server:
        from kirimhook.serving.sending.public import Public  # an engine alone starts faster without

        options = self._options
        self._public = Public(sender, options, self._meter, self.observer)
        config = make_config(
            self._public, limits=options.limits, tls=options.tls, meter=self._meter, observer=self.observer
        )
        return Server(config)
