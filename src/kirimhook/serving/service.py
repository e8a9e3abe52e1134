"""What one process runs: the receiver on its socket, the worker, and the inbox between them."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from kirimhook.backends import open_inbox, scrubbed
from kirimhook.observe import Meter, Observer
from kirimhook.receiver.admin.reporter import Reporter, StorageWatch
from kirimhook.receiver.endpoint import Receiver
from kirimhook.receiver.secrets import ENVIRONMENT_VARIABLE, Keyring
from kirimhook.receiver.telling import Notifier
from kirimhook.receiver.worker import Worker
from kirimhook.serving.inbox_start import InboxStart
from kirimhook.serving.listening import Listener
from kirimhook.serving.options import Listen, Options, OptionsError, ServeError
from kirimhook.serving.server import Server, make_config
from kirimhook.telling.tellers import teller_of

if TYPE_CHECKING:
    import socket

    from kirimhook.receiver.admin.report import ProcessReport
    from kirimhook.receiver.hooks import Hooks
    from kirimhook.receiver.inbox import Inbox


class Service:
    """Start once, stop once, on one event loop.

    The worker is not left to the receiver: it stops while the last requests are still being answered.
    """

    def __init__(self, options: Options, hooks: Hooks) -> None:
        """Raises `ServeError` for an inbox that there is no backend for."""
        self._options = options
        self._meter = Meter()
        self.observer = StorageWatch(self._meter)
        self._inbox = _inbox(options)
        self._opening = InboxStart(self._inbox, options.inbox, self.observer)
        self._worker = self._make_worker(hooks) if options.work else None
        self._receiver: Receiver | None = None
        self._listener: Listener | None = None
        if options.listen is not None:
            self._receiver = self._make_receiver(hooks, options.listen)
            self._listener = Listener(self._make_server(self._receiver, options.listen))
        self._notifying: asyncio.Task[None] | None = None
        self._reporter = Reporter(self._inbox, self._meter, self.observer, receiver=self._receiver, worker=self._worker)

    @property
    def inbox(self) -> Inbox:
        return self._inbox

    @property
    def hint(self) -> str | None:
        """What an operator should know about the inbox."""
        return self._opening.hint

    async def start(self, bound: socket.socket | None) -> None:
        """Receive on `bound`, and work. Raises `ServeError`; then nothing runs."""
        await self._opening.open()
        if self._receiver is not None:
            await self._receiver.start(opened=True)
        if self._worker is not None:
            self._worker.start()
        if self._options.notify is not None:
            self._notifying = asyncio.create_task(self._notifier(self._options.notify).run())
        self._reporter.running = True
        if self._listener is not None and bound is not None:
            await self._listener.start(bound)

    async def stop(self) -> None:
        """Answer what was accepted, drain the worker within its bound, commit all, close the inbox."""
        self._reporter.running = False
        await asyncio.gather(self._stop_listening(), self._stop_working(), self._opening.stop())
        if self._receiver is not None:
            await self._receiver.stop()
        if self._notifying is not None:
            self._notifying.cancel()
            await asyncio.wait({self._notifying})
        await self._inbox.close()

    async def refresh(self) -> None:
        """Read the secrets and the certificate anew. What cannot be read changes nothing."""
        if self._receiver is not None:
            await self._receiver.keyring.refresh(force=True)
        listen = self._options.listen
        if self._listener is None or listen is None or listen.tls is None:
            return
        try:
            await asyncio.to_thread(self._listener.reload_certificate, listen.tls)
        except ServeError as error:
            self.observer.event("certificate_kept", problem=str(error))
        else:
            self.observer.event("certificate_loaded", certificate=str(listen.tls.certificate))

    async def report(self) -> ProcessReport:
        return await self._reporter.report()

    async def counts(self) -> ProcessReport:
        return self._reporter.counts()

    async def _stop_listening(self) -> None:
        if self._listener is not None:
            await self._listener.stop()

    async def _stop_working(self) -> None:
        if self._worker is not None:
            await self._worker.stop()

    def _make_worker(self, hooks: Hooks) -> Worker:
        return Worker(self._inbox, hooks, settings=self._options.settings, meter=self._meter, observer=self.observer)

    def _notifier(self, whom: str) -> Notifier:
        every = self._options.settings.notify_every
        return Notifier(self._inbox, teller_of(whom), every=every, observer=self.observer, meter=self._meter)

    def _make_receiver(self, hooks: Hooks, listen: Listen) -> Receiver:
        keyring = _keyring(self._options, self.observer)
        return Receiver(
            self._inbox,
            keyring,
            hooks=hooks,
            settings=self._options.settings,
            meter=self._meter,
            path=listen.path,
            observer=self.observer,
            work=False,
        )

    def _make_server(self, receiver: Receiver, listen: Listen) -> Server:
        config = make_config(
            receiver, limits=self._options.limits, tls=listen.tls, meter=self._meter, observer=self.observer
        )
        return Server(config)


def _inbox(options: Options) -> Inbox:
    try:
        return open_inbox(options.inbox, **options.inbox_options)
    except ValueError as error:
        raise OptionsError(scrubbed(str(error), options.inbox)) from error


def _keyring(options: Options, observer: Observer) -> Keyring:
    """A file may come later; the environment of a process never changes. Raises `ServeError`."""
    if options.secrets_file is not None:
        return Keyring.from_file(options.secrets_file, observer)
    keyring = Keyring.from_environment(os.environ, observer)
    if not keyring.secrets:
        raise ServeError(f"{ENVIRONMENT_VARIABLE}: {keyring.problem}; set it, or give --secrets-file")
    return keyring
