"""A way from the internet to a port of this machine: `cloudflared` or `ngrok`, run for as long as we listen."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

WITHIN = 45.0
"""Seconds that a tunnel has to say its address."""
STOPPING = 5.0
"""Seconds that it has to end."""
HOW_TO_INSTALL = (
    "an API that is not on this machine needs a tunnel to it: install cloudflared (no account needed;"
    " https://developers.cloudflare.com/tunnel/downloads) or ngrok (https://ngrok.com/download)"
)
WATCH = """
exec 3<&0
"$@" < /dev/null 3<&- & tunnel=$!
(read -r _ <&3; kill -TERM $tunnel) > /dev/null 2>&1 & watch=$!
wait $tunnel
code=$?
kill $watch 2> /dev/null
exit $code
"""
"""Runs it, and ends it when whoever writes to our standard input has closed that, or is gone."""


class TunnelError(Exception):
    """It did not open. One line, with what it said last."""


class Kind(NamedTuple):
    """A program that makes tunnels."""

    name: str
    arguments: tuple[str, ...]
    """`{port}`: of the receiver; `{empty}`: a file with nothing in it."""
    address: re.Pattern[str]
    """Finds the public address in what it prints."""


KINDS = (
    Kind(
        "cloudflared",  # a configuration that is there would take its requests elsewhere
        ("tunnel", "--no-autoupdate", "--config", "{empty}", "--url", "http://127.0.0.1:{port}"),
        re.compile(r"\|\s+(https://\S+)\s+\|"),
    ),
    Kind(
        "ngrok",
        ("http", "127.0.0.1:{port}", "--log", "stdout", "--log-format", "logfmt"),
        re.compile(r'\burl="?(https://[^\s"]+)'),
    ),
)


def installed() -> Kind | None:
    """The first that there is."""
    return next((kind for kind in KINDS if shutil.which(kind.name)), None)


def is_here(url: str) -> bool:
    """Whether its host is this machine, by what it is called."""
    host = (urlsplit(url).hostname or "").lower()
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


class Tunnel:
    """Open once, close once."""

    def __init__(self, kind: Kind, port: int, folder: Path, ended: Callable[[str], None]) -> None:
        """`ended` is called with one line when it ends before it is closed."""
        self.kind = kind
        self._port = port
        self._folder = folder
        self._ended = ended
        self._process: asyncio.subprocess.Process | None = None
        self._following: asyncio.Task[None] | None = None
        self._address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._last = ""

    async def open(self) -> str:
        """Its public address, https. Raises `TunnelError`."""
        empty = self._folder / "empty.yml"
        empty.touch()
        arguments = [one.format(port=self._port, empty=empty) for one in self.kind.arguments]
        self._process = await asyncio.create_subprocess_exec(
            *("sh", "-c", WATCH, "sh", self.kind.name, *arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for us: it ends when nothing is delivered through it any more
        )
        self._following = asyncio.create_task(self._follow(self._process))
        try:
            async with asyncio.timeout(WITHIN):
                return await asyncio.shield(self._address)
        except TimeoutError:
            raise TunnelError(f"{self.kind.name} said no address within {WITHIN:g} s: {self._last}") from None

    async def close(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            async with asyncio.timeout(STOPPING):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        if self._following is not None:
            await asyncio.wait([self._following], timeout=STOPPING)

    async def _follow(self, process: asyncio.subprocess.Process) -> None:
        stdout = process.stdout
        while stdout is not None and (line := await _line(stdout)):
            self._last = line.decode(errors="replace").strip() or self._last
            found = self.kind.address.search(self._last)
            if found and not self._address.done():
                self._address.set_result(found[1])
        code = await process.wait()
        problem = f"{self.kind.name} ended ({code}): {self._last}"
        if not self._address.done():
            self._address.set_exception(TunnelError(problem))
        elif self._process is not None:
            self._ended(problem)


async def _line(stdout: asyncio.StreamReader) -> bytes:
    try:
        return await stdout.readline()
    except ValueError:  # longer than any that matters
        return b"\n"
