"""A receiver that is subscribed for as long as it runs."""

from __future__ import annotations

import asyncio
import contextlib
import platform
import secrets
import signal
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx

from kirimhook.cli import output
from kirimhook.cli.api_given import failed
from kirimhook.cli.listen.tunnel import Kind, Tunnel, TunnelError
from kirimhook.client import ApiError, AsyncKirim, UnexpectedAnswer, Unreachable
from kirimhook.operating.files import write_atomically
from kirimhook.receiver.inbox import InboxUnavailable
from kirimhook.serving.listening import address_of
from kirimhook.serving.options import Address, Listen, Options, ServeError
from kirimhook.serving.server import Tls
from kirimhook.settings import ReceiverSettings

if TYPE_CHECKING:
    from kirimhook.cli.listen.following import Following
    from kirimhook.cli.listen.place import Place
    from kirimhook.client.account import Account
    from kirimhook.observe import Observer
    from kirimhook.receiver.admin.report import ProcessReport
    from kirimhook.serving.service import Service

HOST = "127.0.0.1"
REACHABLE_WITHIN = 30.0
"""Seconds that a new tunnel has to come up."""
LOOK = 0.5
"""Seconds between two attempts to reach it."""
UNSUBSCRIBING = 15.0
"""Seconds that the API has to take the subscription back."""
SECRETS = "secrets.txt"
DESCRIPTION = f"kirimhook listen on {platform.node()}"[:200]
REFUSALS = (ApiError, Unreachable, UnexpectedAnswer)


class Told(NamedTuple):
    """What the command line came to."""

    account: Account
    client: dict[str, Any]
    tunnel: Kind | None
    """None: the API is on this machine."""
    events: Sequence[str] = ()
    inbox: str = ""
    """Empty: a temporary one."""
    port: int = 0

    def options(self, place: Place) -> Options:
        """Of the receiver: plain behind a tunnel, which ends TLS itself; else with a certificate of our own."""
        tls = None if self.tunnel is not None else Tls(place.certificates.certificate, place.certificates.key)
        return Options(
            self.inbox or f"sqlite:///{place.folder / 'inbox.db'}",
            listen=Listen(Address(HOST, self.port), place.path, tls),
            secrets_file=place.folder / SECRETS,
            settings=ReceiverSettings(dispatch_test_events=True),
        )


class Listening:
    """A service around the receiver's. What it does on the way, it says on stderr."""

    def __init__(self, service: Service, following: Following, told: Told, place: Place) -> None:
        self._service = service
        self._following = following
        self._told = told
        self._place = place
        self._kirim: AsyncKirim | None = None
        self._tunnel: Tunnel | None = None
        self._subscription = ""
        self.trouble = ""
        """Why it stopped by itself. One line."""

    @property
    def observer(self) -> Observer:
        return self._service.observer

    @property
    def hint(self) -> str | None:
        return self._service.hint

    async def start(self, bound: socket.socket | None) -> None:
        """Receive, open the tunnel, subscribe. Raises `ServeError`; then nothing is left."""
        self._keep(f"whsec_{secrets.token_hex(24)}")  # or the receiver would warn that it has none
        await self._service.start(bound)
        self._kirim = AsyncKirim(**self._told.client)
        try:
            await self._following.start()
            await self._subscribe(self._kirim, await self._public(address_of(_socket(bound)).port))
        except (*REFUSALS, TunnelError, InboxUnavailable, OSError) as error:
            await self.stop()
            said = str(failed(error)) if isinstance(error, REFUSALS) else str(error)
            about_us = isinstance(error, Unreachable) or getattr(error, "param", None) == "url"
            raise ServeError(f"{said}{self._how_to_trust() if about_us else ''}") from error
        output.note(f"{self._subscription} delivers {', '.join(self._told.events)}; Ctrl-C unsubscribes and ends")

    async def stop(self) -> None:
        """The other way round; what cannot be undone now is said, and done by the next one."""
        await self._unsubscribe()
        await self._service.stop()
        await self._following.stop()
        if self._tunnel is not None:
            await self._tunnel.close()

    async def refresh(self) -> None:
        await self._service.refresh()

    async def report(self) -> ProcessReport:
        return await self._service.report()

    async def counts(self) -> ProcessReport:
        return await self._service.counts()

    async def _public(self, port: int) -> str:
        """Where the API finds us. Raises `TunnelError`."""
        kind = self._told.tunnel
        if kind is None:
            return f"https://localhost:{port}{self._place.path}"
        output.note(f"opening a tunnel with {kind.name}")
        self._tunnel = Tunnel(kind, port, self._place.folder, self._lost)
        url = f"{await self._tunnel.open()}{self._place.path}"
        if not await self._is_reachable(url):
            output.note(f"{url} cannot be reached from here yet; what is delivered meanwhile is tried again")
        return url

    async def _is_reachable(self, url: str) -> bool:
        """Whether our receiver, which takes no GET, answers there in time."""
        verify = self._told.client["verify"] or True
        async with httpx.AsyncClient(verify=verify, timeout=REACHABLE_WITHIN) as client:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(REACHABLE_WITHIN):
                    while True:
                        with contextlib.suppress(httpx.HTTPError):
                            if (await client.get(url)).status_code == httpx.codes.METHOD_NOT_ALLOWED:
                                return True
                        await asyncio.sleep(LOOK)
        return False

    async def _subscribe(self, kirim: AsyncKirim, url: str) -> None:
        """Raises what the client raises, and OSError."""
        async for one in kirim.webhook_subscriptions.list():
            if one.url.endswith(self._place.path):
                await kirim.webhook_subscriptions.delete(one.id)
                output.note(f"{one.id} was left by a listen that did not end by itself: removed")
        made = await kirim.webhook_subscriptions.create(url=url, events=self._told.events, description=DESCRIPTION)
        self._subscription = made.id
        if made.initial_secret is None:
            raise UnexpectedAnswer("the API did not say the secret of the new subscription", status=201)
        await asyncio.to_thread(self._keep, made.initial_secret.reveal())
        await self._service.refresh()
        output.note(f"subscribed {url}{self._how_to_trust()}")

    async def _unsubscribe(self) -> None:
        kirim, self._kirim = self._kirim, None
        if kirim is None:
            return
        try:
            if self._subscription:
                async with asyncio.timeout(UNSUBSCRIBING):
                    await kirim.webhook_subscriptions.delete(self._subscription)
                output.note(f"{self._subscription} is deleted")
        except (*REFUSALS, TimeoutError) as error:
            said = str(failed(error)) if isinstance(error, REFUSALS) else "no answer in time"
            output.note(f"{self._subscription} is left ({said}): the next listen removes it")
        finally:
            await kirim.aclose()

    def _keep(self, secret: str) -> None:
        write_atomically(self._place.folder / SECRETS, f"{secret}\n".encode())

    def _how_to_trust(self) -> str:
        """A sender of ours delivers to loopback, with a certificate of ours, only where it was told that it may."""
        if self._told.tunnel is not None:
            return ""
        trusted = self._place.certificates.ca
        return f"; the sender has to run with --ca-bundle {trusted} --allow-network 127.0.0.0/8"

    def _lost(self, problem: str) -> None:
        """The tunnel ended. Its address goes with it, so there is nothing to wait for."""
        self.trouble = problem
        signal.raise_signal(signal.SIGTERM)


def _socket(bound: socket.socket | None) -> socket.socket:
    if bound is None:
        raise ServeError("there is no socket to receive on")
    return bound
