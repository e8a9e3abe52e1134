"""The guard at the dial: a pool of connections that are made to vetted addresses only.

aiohttp's own TCP connector never asks its resolver about addresses written as such, so the vetting stands where
the sockets are made: nothing is dialled that `_guard` has not seen. The name is looked up once, its addresses are
vetted, and those very addresses are dialled; TLS still checks the name.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Sequence
from ipaddress import ip_address
from time import perf_counter
from typing import Any

import aiohappyeyeballs
from aiohttp.connector import BaseConnector

from kirimhook.sender.transport.addresses import Network, forbidden, forbidden_name
from kirimhook.sender.transport.exchange import Phase, Trip
from kirimhook.sender.transport.urls import Resolver
from kirimhook.sender.transport.wire import Wire

IDLE_SECONDS = 4.0
"""How long an idle connection is kept: less than the 5 s after which common servers hang up, for a request that
crosses a server's farewell is a failed attempt."""
NEXT_ADDRESS_SECONDS = 0.25
"""After this, the next address is tried beside the one that has not answered (RFC 8305)."""

AddrInfo = tuple[int, int, int, str, tuple[Any, ...]]


class ForbiddenAddress(OSError):
    """Nothing was dialled, as the address may not be. The text says which kind it is."""


class Dialler(BaseConnector):
    """aiohttp's pool without bounds of its own: the engine has them. Made inside its event loop."""

    def __init__(self, tls: ssl.SSLContext, resolver: Resolver, allowed: Sequence[Network]) -> None:
        super().__init__(limit=0, keepalive_timeout=IDLE_SECONDS)
        self._tls = tls
        self._names = resolver
        self._allowed = allowed

    async def _create_connection(self, req: Trip, *_: object) -> Wire:  # type: ignore[override]  # Trip is the request that this client makes
        """What aiohttp's pool calls where it has no idle connection. `req` is what was given to `connect`."""
        addresses = await self._vetted(req)
        waiting = {_addr_info(address, req.target.port): address for address in addresses}
        failure: OSError | None = None
        while True:
            try:
                sock, info = await self._connected(list(waiting), req)
            except OSError as error:
                raise failure or error from None
            share = (req.ends - self._loop.time()) / len(waiting)
            req.address = waiting.pop(info)
            try:
                return await self._shake_hands(sock, req.address, share, req)
            except OSError as error:  # a timeout is one; another of its addresses may do better
                failure = failure or error
                if not waiting:
                    raise failure from None

    async def _vetted(self, trip: Trip) -> list[str]:
        """The addresses that may be dialled. Raises `ForbiddenAddress` where none may, OSError where there is none."""
        host = trip.target.host
        if trip.target.is_address:
            addresses: Sequence[str] = (host,)
            shown = f"{host} "
        else:
            if reason := forbidden_name(host, self._allowed):
                raise ForbiddenAddress(f"forbidden host {host} ({reason})")
            began = perf_counter()
            addresses = await self._names(host)
            trip.dns = milliseconds(perf_counter() - began)
            shown = ""  # what a name means inside the operator's network is not told to the outside
        reasons = {address: forbidden(address, self._allowed) for address in addresses}
        vetted = [address for address, reason in reasons.items() if reason is None]
        if not vetted:
            raise ForbiddenAddress(f"forbidden address {shown}({next(iter(reasons.values()), 'none')})")
        return vetted

    async def _connected(self, infos: list[AddrInfo], trip: Trip) -> tuple[socket.socket, AddrInfo]:
        """The first of the addresses to accept. Raises OSError."""
        trip.phase = Phase.CONNECT
        made: dict[socket.socket, AddrInfo] = {}

        def guarded(info: AddrInfo) -> socket.socket:
            made[sock := self._guard(info)] = info
            trip.address = info[4][0]
            return sock

        began = perf_counter()
        sock = await aiohappyeyeballs.start_connection(
            infos,
            happy_eyeballs_delay=NEXT_ADDRESS_SECONDS,
            interleave=1,
            loop=self._loop,
            socket_factory=guarded,
        )
        trip.connect = milliseconds(perf_counter() - began)
        return sock, made[sock]

    def _guard(self, info: AddrInfo) -> socket.socket:
        """The only place where a socket is made. Whatever came before: no forbidden address gets one."""
        family, kind, protocol, _, address = info
        if reason := forbidden(address[0], self._allowed):
            raise ForbiddenAddress(f"forbidden address ({reason})")
        return socket.socket(family, kind, protocol)

    async def _shake_hands(self, sock: socket.socket, address: str, seconds: float, trip: Trip) -> Wire:
        trip.phase = Phase.HANDSHAKE
        began = perf_counter()
        async with asyncio.timeout(seconds):
            _, wire = await self._loop.create_connection(
                lambda: Wire(self._loop, address), sock=sock, ssl=self._tls, server_hostname=trip.target.host
            )
        trip.tls = milliseconds(perf_counter() - began)
        return wire


def _addr_info(address: str, port: int) -> AddrInfo:
    """As `getaddrinfo` would say it, without asking it."""
    ip = ip_address(address)
    mapped = ip.ipv4_mapped if ip.version == 6 else None
    if ip.version == 4 or mapped:
        return socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (str(mapped or ip), port)
    host, _, zone = address.partition("%")
    scope = int(zone) if zone.isdigit() else 0
    return socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port, 0, scope)


def milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 3)
